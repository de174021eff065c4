//! The tracking id that says which application manages an object (Argo CD section 5).

use crate::{AWS_GROUP, annotation};

/// `<app>:<group>/<kind>:<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackingId {
    /// The application, `<namespace>_<name>` outside the control namespace.
    pub application: String,
    /// The API group of the object.
    pub group: String,
    /// The kind of the object.
    pub kind: String,
    /// The object's namespace; for a cluster-scoped object the application's destination namespace.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

impl TrackingId {
    /// Splits an id; anything but exactly the form above is no id.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((application, resource)) = text.split_once(":aws/") {
            return Self::parse_resource(application, resource);
        }
        let mut parts = text.splitn(3, ':');
        let (application, kind, place) = (parts.next()?, parts.next()?, parts.next()?);
        let (group, kind) = kind
            .split_once('/')
            .filter(|(_, kind)| !kind.contains('/'))?;
        let (namespace, name) = place
            .split_once('/')
            .filter(|(_, name)| !name.contains('/'))?;
        Some(Self {
            application: application.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// A CloudFormation resource's type has colons of its own: `AWS::SQS::Queue:<stack>/<logical id>`.
    fn parse_resource(application: &str, resource: &str) -> Option<Self> {
        let (front, name) = resource.rsplit_once('/')?;
        let (kind, namespace) = front.rsplit_once(':')?;
        let is_plain = !application.contains(':') && !front.contains('/');
        is_plain.then(|| Self {
            application: application.to_owned(),
            group: AWS_GROUP.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The id that a live object bears, when it bears a well-formed one.
    pub fn of(body: &serde_json::Value) -> Option<Self> {
        let annotations = body.get("metadata")?.get("annotations")?;
        Self::parse(annotations.get(annotation::TRACKING_ID)?.as_str()?)
    }

    /// Whether the id speaks of this very object, so that a copied annotation makes no ownership.
    /// The namespace is not compared for cluster-scoped objects.
    pub fn is_self_reference(&self, group: &str, kind: &str, namespace: &str, name: &str) -> bool {
        self.group == group
            && self.kind == kind
            && self.name == name
            && (namespace.is_empty() || self.namespace == namespace)
    }
}

impl std::fmt::Display for TrackingId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            application,
            group,
            kind,
            namespace,
            name,
        } = self;
        write!(f, "{application}:{group}/{kind}:{namespace}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_strictly() {
        for good in [
            "a:apps/Deployment:x/y",
            "ns_a:/Service:x/y",
            "a:/Namespace:x/y:z",
            "etl:aws/AWS::Lambda::Function:etl-prod/Transform",
        ] {
            assert_eq!(
                TrackingId::parse(good).map(|id| id.to_string()).as_deref(),
                Some(good)
            );
        }
        for bad in [
            "",
            "a",
            "a:b",
            "a:b:c",
            "a:b/c:d",
            "a:b/c/d:e/f",
            "a:b/c:d/e/f",
        ] {
            assert_eq!(TrackingId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn types_have_colons_of_their_own() {
        let id = TrackingId::parse("etl:aws/AWS::SQS::Queue:etl-prod/Dead").expect("well-formed");
        assert!(id.is_self_reference("aws", "AWS::SQS::Queue", "etl-prod", "Dead"));
    }

    #[test]
    fn a_copied_annotation_makes_no_ownership() {
        let id = TrackingId::parse("a:apps/Deployment:x/web").expect("well-formed");
        assert!(id.is_self_reference("apps", "Deployment", "x", "web"));
        assert!(!id.is_self_reference("apps", "ReplicaSet", "x", "web"));
        assert!(!id.is_self_reference("apps", "Deployment", "y", "web"));
        assert!(id.is_self_reference("apps", "Deployment", "", "web"));
    }
}
