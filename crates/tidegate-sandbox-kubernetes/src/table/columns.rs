//! Which columns the built-in kinds have, as a real server of version 1.36 gives them. Data only.

use super::row::Row;
use super::{cluster, network, pod, storage, workloads};
use serde_json::Value;

/// How the objects of one resource become rows.
#[derive(Debug)]
pub(super) struct Printer {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    /// `NAME:TYPE[.FORMAT][*]`, separated by `, `; a star marks what only `-o wide` shows.
    pub(super) columns: &'static str,
    pub(super) cells: fn(&Row<'_>) -> Vec<Value>,
}

/// Kinds without a printer of their own.
pub(super) const DEFAULT: Printer = Printer {
    group: "",
    resource: "",
    columns: "Name:string.name, Created At:date",
    cells: cluster::created,
};

/// The Scale subresource of any kind.
pub(super) const SCALE: Printer = Printer {
    group: "autoscaling",
    resource: "scales",
    columns: "Name:string, Desired:integer, Available:integer, Age:string",
    cells: cluster::scale,
};

pub(super) fn printer(group: &str, resource: &str) -> &'static Printer {
    let same = |printer: &&Printer| printer.group == group && printer.resource == resource;
    PRINTERS.iter().find(same).unwrap_or(&DEFAULT)
}

const PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        resource: "componentstatuses",
        columns: "Name:string.name, Status:string, Message:string, Error:string",
        cells: cluster::component_status,
    },
    Printer {
        group: "",
        resource: "configmaps",
        columns: "Name:string.name, Data:string, Age:string",
        cells: cluster::config_map,
    },
    Printer {
        group: "",
        resource: "endpoints",
        columns: "Name:string.name, Endpoints:string, Age:string",
        cells: pod::endpoints,
    },
    Printer {
        group: "",
        resource: "events",
        columns: "Last Seen:string, Type:string, Reason:string, Object:string, Subobject:string*, Source:string*, Message:string, First Seen:string*, Count:string*, Name:string.name*",
        cells: cluster::event,
    },
    Printer {
        group: "",
        resource: "namespaces",
        columns: "Name:string.name, Status:string, Age:string",
        cells: cluster::namespace,
    },
    Printer {
        group: "",
        resource: "nodes",
        columns: "Name:string.name, Status:string, Roles:string, Age:string, Version:string, Internal-IP:string*, External-IP:string*, OS-Image:string*, Kernel-Version:string*, Container-Runtime:string*",
        cells: cluster::node,
    },
    Printer {
        group: "",
        resource: "persistentvolumeclaims",
        columns: "Name:string.name, Status:string, Volume:string, Capacity:string, Access Modes:string, StorageClass:string, VolumeAttributesClass:string, Age:string, VolumeMode:string*",
        cells: storage::claim,
    },
    Printer {
        group: "",
        resource: "persistentvolumes",
        columns: "Name:string.name, Capacity:string, Access Modes:string, Reclaim Policy:string, Status:string, Claim:string, StorageClass:string, VolumeAttributesClass:string, Reason:string, Age:string, VolumeMode:string*",
        cells: storage::volume,
    },
    Printer {
        group: "",
        resource: "pods",
        columns: "Name:string.name, Ready:string, Status:string, Restarts:string, Age:string, IP:string*, Node:string*, Nominated Node:string*, Readiness Gates:string*",
        cells: pod::cells,
    },
    Printer {
        group: "",
        resource: "podtemplates",
        columns: "Name:string.name, Containers:string, Images:string, Pod Labels:string",
        cells: pod::template,
    },
    Printer {
        group: "",
        resource: "replicationcontrollers",
        columns: "Name:string.name, Desired:integer, Current:integer, Ready:integer, Age:string, Containers:string*, Images:string*, Selector:string*",
        cells: workloads::replication_controller,
    },
    Printer {
        group: "",
        resource: "resourcequotas",
        columns: "Name:string.name, Request:string, Limit:string, Age:string",
        cells: workloads::quota,
    },
    Printer {
        group: "",
        resource: "secrets",
        columns: "Name:string.name, Type:string, Data:string, Age:string",
        cells: cluster::secret,
    },
    Printer {
        group: "",
        resource: "serviceaccounts",
        columns: "Name:string.name, Age:string",
        cells: cluster::aged,
    },
    Printer {
        group: "",
        resource: "services",
        columns: "Name:string.name, Type:string, Cluster-IP:string, External-IP:string, Port(s):string, Age:string, Selector:string*",
        cells: network::service,
    },
    Printer {
        group: "apiregistration.k8s.io",
        resource: "apiservices",
        columns: "Name:string.name, Service:string, Available:string, Age:string",
        cells: cluster::api_service,
    },
    Printer {
        group: "apps",
        resource: "controllerrevisions",
        columns: "Name:string.name, Controller:string, Revision:string, Age:string",
        cells: workloads::controller_revision,
    },
    Printer {
        group: "apps",
        resource: "daemonsets",
        columns: "Name:string.name, Desired:integer, Current:integer, Ready:integer, Up-to-date:integer, Available:integer, Node Selector:string, Age:string, Containers:string*, Images:string*, Selector:string*",
        cells: workloads::daemon_set,
    },
    Printer {
        group: "apps",
        resource: "deployments",
        columns: "Name:string.name, Ready:string, Up-to-date:string, Available:string, Age:string, Containers:string*, Images:string*, Selector:string*",
        cells: workloads::deployment,
    },
    Printer {
        group: "apps",
        resource: "replicasets",
        columns: "Name:string.name, Desired:integer, Current:integer, Ready:integer, Age:string, Containers:string*, Images:string*, Selector:string*",
        cells: workloads::replica_set,
    },
    Printer {
        group: "apps",
        resource: "statefulsets",
        columns: "Name:string.name, Ready:string, Age:string, Containers:string*, Images:string*",
        cells: workloads::stateful_set,
    },
    Printer {
        group: "events.k8s.io",
        resource: "events",
        columns: "Last Seen:string, Type:string, Reason:string, Object:string, Subobject:string*, Source:string*, Message:string, First Seen:string*, Count:string*, Name:string.name*",
        cells: cluster::event,
    },
    Printer {
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        columns: "Name:string.name, Reference:string, Targets:string, MinPods:string, MaxPods:string, Replicas:string, Age:string",
        cells: workloads::autoscaler,
    },
    Printer {
        group: "batch",
        resource: "cronjobs",
        columns: "Name:string.name, Schedule:string, Timezone:string, Suspend:boolean, Active:integer, Last Schedule:string, Age:string, Containers:string*, Images:string*, Selector:string*",
        cells: workloads::cron_job,
    },
    Printer {
        group: "batch",
        resource: "jobs",
        columns: "Name:string.name, Status:string, Completions:string, Duration:string, Age:string, Containers:string*, Images:string*, Selector:string*",
        cells: workloads::job,
    },
    Printer {
        group: "certificates.k8s.io",
        resource: "certificatesigningrequests",
        columns: "Name:string.name, Age:string, SignerName:string, Requestor:string, RequestedDuration:string, Condition:string",
        cells: workloads::signing_request,
    },
    Printer {
        group: "networking.k8s.io",
        resource: "ingressclasses",
        columns: "Name:string.name, Controller:string, Parameters:string, Age:string",
        cells: network::ingress_class,
    },
    Printer {
        group: "networking.k8s.io",
        resource: "ingresses",
        columns: "Name:string.name, Class:string, Hosts:string, Address:string, Ports:string, Age:string",
        cells: network::ingress,
    },
    Printer {
        group: "networking.k8s.io",
        resource: "ipaddresses",
        columns: "Name:string.name, ParentRef:string",
        cells: network::ip_address,
    },
    Printer {
        group: "networking.k8s.io",
        resource: "networkpolicies",
        columns: "Name:string.name, Pod-Selector:string, Age:string",
        cells: network::network_policy,
    },
    Printer {
        group: "networking.k8s.io",
        resource: "servicecidrs",
        columns: "Name:string.name, CIDRs:string, Age:string",
        cells: network::service_cidr,
    },
    Printer {
        group: "policy",
        resource: "poddisruptionbudgets",
        columns: "Name:string.name, Min Available:string, Max Unavailable:string, Allowed Disruptions:integer, Age:string",
        cells: workloads::disruption_budget,
    },
    Printer {
        group: "rbac.authorization.k8s.io",
        resource: "clusterrolebindings",
        columns: "Name:string.name, Role:string, Age:string, Users:string*, Groups:string*, ServiceAccounts:string*",
        cells: cluster::binding,
    },
    Printer {
        group: "rbac.authorization.k8s.io",
        resource: "rolebindings",
        columns: "Name:string.name, Role:string, Age:string, Users:string*, Groups:string*, ServiceAccounts:string*",
        cells: cluster::binding,
    },
    Printer {
        group: "storage.k8s.io",
        resource: "csidrivers",
        columns: "Name:string.name, AttachRequired:boolean, PodInfoOnMount:boolean, StorageCapacity:boolean, TokenRequests:string, RequiresRepublish:boolean, Modes:string, Age:string",
        cells: storage::csi_driver,
    },
    Printer {
        group: "storage.k8s.io",
        resource: "csinodes",
        columns: "Name:string.name, Drivers:integer, Age:string",
        cells: storage::csi_node,
    },
    Printer {
        group: "storage.k8s.io",
        resource: "storageclasses",
        columns: "Name:string.name, Provisioner:string, ReclaimPolicy:string, VolumeBindingMode:string, AllowVolumeExpansion:string, Age:string",
        cells: storage::storage_class,
    },
    Printer {
        group: "storage.k8s.io",
        resource: "volumeattachments",
        columns: "Name:string.name, Attacher:string.name, PV:string, Node:string, Attached:boolean, Age:string",
        cells: storage::attachment,
    },
    Printer {
        group: "storage.k8s.io",
        resource: "volumeattributesclasses",
        columns: "Name:string.name, DriverName:string, Age:string",
        cells: storage::attributes_class,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        resource: "mutatingadmissionpolicies",
        columns: "Name:string.name, Mutations:integer, ParamKind:string, Age:string",
        cells: cluster::mutating_policy,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        resource: "mutatingadmissionpolicybindings",
        columns: "Name:string.name, PolicyName:string, ParamRef:string, Age:string",
        cells: cluster::policy_binding,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        resource: "mutatingwebhookconfigurations",
        columns: "Name:string.name, Webhooks:integer, Age:string",
        cells: cluster::webhooks,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        resource: "validatingadmissionpolicies",
        columns: "Name:string.name, Validations:integer, ParamKind:string, Age:string",
        cells: cluster::validating_policy,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        resource: "validatingadmissionpolicybindings",
        columns: "Name:string.name, PolicyName:string, ParamRef:string, Age:string",
        cells: cluster::policy_binding,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        resource: "validatingwebhookconfigurations",
        columns: "Name:string.name, Webhooks:integer, Age:string",
        cells: cluster::webhooks,
    },
    Printer {
        group: "scheduling.k8s.io",
        resource: "priorityclasses",
        columns: "Name:string.name, Value:integer, Global-Default:boolean, Age:string, PreemptionPolicy:string",
        cells: workloads::priority_class,
    },
    Printer {
        group: "coordination.k8s.io",
        resource: "leases",
        columns: "Name:string.name, Holder:string, Age:string",
        cells: cluster::lease,
    },
    Printer {
        group: "node.k8s.io",
        resource: "runtimeclasses",
        columns: "Name:string.name, Handler:string, Age:string",
        cells: cluster::runtime_class,
    },
    Printer {
        group: "discovery.k8s.io",
        resource: "endpointslices",
        columns: "Name:string.name, AddressType:string, Ports:string, Endpoints:string, Age:string",
        cells: network::endpoint_slice,
    },
    Printer {
        group: "resource.k8s.io",
        resource: "deviceclasses",
        columns: "Name:string.name, Age:string",
        cells: cluster::aged,
    },
    Printer {
        group: "resource.k8s.io",
        resource: "resourceclaims",
        columns: "Name:string.name, State:string, Age:string",
        cells: cluster::resource_claim,
    },
    Printer {
        group: "resource.k8s.io",
        resource: "resourceclaimtemplates",
        columns: "Name:string.name, Age:string",
        cells: cluster::aged,
    },
    Printer {
        group: "resource.k8s.io",
        resource: "resourceslices",
        columns: "Name:string.name, Node:string, Driver:string, Pool:string, Age:string",
        cells: cluster::resource_slice,
    },
    Printer {
        group: "flowcontrol.apiserver.k8s.io",
        resource: "flowschemas",
        columns: "Name:string.name, PriorityLevel:string, MatchingPrecedence:string, DistinguisherMethod:string, Age:string, MissingPL:string",
        cells: cluster::flow_schema,
    },
    Printer {
        group: "flowcontrol.apiserver.k8s.io",
        resource: "prioritylevelconfigurations",
        columns: "Name:string.name, Type:string, NominalConcurrencyShares:string, Queues:string, HandSize:string, QueueLengthLimit:string, Age:string",
        cells: cluster::priority_level,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_printer_fills_its_columns_even_for_an_empty_object() {
        let object = json!({});
        let row = Row {
            object: &object,
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        for printer in PRINTERS.iter().chain([&DEFAULT, &SCALE]) {
            let served = crate::builtin::resources();
            let known = served
                .iter()
                .any(|one| one.is(printer.group, printer.resource));
            assert!(
                known || ["", "scales"].contains(&printer.resource),
                "{}",
                printer.resource
            );
            let columns = printer.columns.split(", ").count();
            let cells = (printer.cells)(&row).len();
            // The real server gives one cell more for these.
            let extra = usize::from(printer.resource == "ipaddresses");
            assert_eq!(cells, columns + extra, "{}", printer.resource);
        }
    }
}
