//go:build ignore

// Writes go-types.txt: how Kubernetes' own types look in JSON and in protobuf, read from their struct tags by reflection.
// Run it in a module that requires k8s.io/client-go, k8s.io/apiextensions-apiserver and k8s.io/kube-aggregator of the
// wanted release: `go run go-types.go > go-types.txt`. The format is described in src/gotypes.rs.
package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	extensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/scheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/scheme"
)

var special = map[string]string{
	"resource.Quantity": "quantity", "v1.Time": "time", "v1.MicroTime": "microtime", "v1.Duration": "duration",
	"intstr.IntOrString": "intstr", "runtime.RawExtension": "raw", "v1.FieldsV1": "fieldsv1", "v1.JSON": "json",
	"v1.JSONSchemaPropsOrArray": "oneormany", "v1.JSONSchemaPropsOrBool": "oneorbool",
	"v1.JSONSchemaPropsOrStringArray": "oneorstrings",
}

var (
	seen  = map[reflect.Type]bool{}
	queue []reflect.Type
	lines []string
)

// short is the package's group, its version and the name: core.v1.Pod.
func short(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	return strings.Join(append(parts[len(parts)-2:], t.Name()), ".")
}

func visit(t reflect.Type) {
	if !seen[t] {
		seen[t] = true
		queue = append(queue, t)
	}
}

func named(base string, t reflect.Type) string {
	if t.Name() != base && t.PkgPath() != "" {
		return base + "~" + t.String()
	}
	return base
}

func expression(t reflect.Type) string {
	if what, ok := special[t.String()]; ok && (t.PkgPath() != "" && !strings.Contains(t.PkgPath(), "k8s.io/api/")) {
		if what == "oneormany" || what == "oneorbool" || what == "oneorstrings" {
			return what + expression(reflect.New(t).Elem().FieldByName("Schema").Type())
		}
		return what
	}
	switch t.Kind() {
	case reflect.Pointer:
		return expression(t.Elem())
	case reflect.String:
		return named("string", t)
	case reflect.Bool:
		return named("bool", t)
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Uint8, reflect.Uint32, reflect.Float64:
		return named(t.Kind().String(), t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		if t.Name() == "ExtraValue" || t.Name() == "Verbs" {
			return "wrapped"
		}
		return "[" + expression(t.Elem())
	case reflect.Map:
		return "{" + expression(t.Elem())
	case reflect.Struct:
		visit(t)
		return "@" + short(t)
	}
	return "any"
}

func fields(t reflect.Type) {
	lines = append(lines, "T "+short(t))
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("json")
		if !ok || tag == "-" {
			continue
		}
		parts := strings.Split(tag, ",")
		number, proto := "0", f.Tag.Get("protobuf")
		if proto != "" && proto != "-" {
			number = strings.Split(proto, ",")[1]
		}
		flags := ""
		for _, option := range parts[1:] {
			switch option {
			case "omitempty":
				flags += "o"
			case "omitzero":
				flags += "z"
			case "inline":
				flags += "i"
			}
		}
		if f.Type.Kind() == reflect.Pointer {
			flags += "p"
		}
		if f.Anonymous && parts[0] == "" {
			if f.Type.Name() == "TypeMeta" && number == "0" {
				lines = append(lines, "F apiVersion 0 o string", "F kind 0 o string")
				continue
			}
			if !strings.Contains(flags, "i") {
				flags += "i"
			}
		}
		if flags == "" {
			flags = "-"
		}
		name := parts[0]
		if name == "" {
			name = "-"
		}
		lines = append(lines, fmt.Sprintf("F %s %s %s %s", name, number, flags, expression(f.Type)))
	}
}

func main() {
	type kind struct{ group, version, kind string }
	kinds := map[kind]reflect.Type{}
	for _, s := range []*runtime.Scheme{scheme.Scheme, extensions.Scheme, aggregator.Scheme} {
		for gvk, t := range s.AllKnownTypes() {
			if gvk.Version == "__internal" || strings.HasSuffix(gvk.Kind, "Options") && gvk.Kind != "DeleteOptions" || gvk.Kind == "WatchEvent" {
				continue
			}
			if strings.HasSuffix(gvk.Kind, "List") || gvk.Kind == "DeleteOptions" && gvk.Group != "" {
				continue
			}
			if strings.Contains(gvk.Version, "alpha") || strings.Contains(gvk.Version, "beta") { // not served by default
				continue
			}
			kinds[kind{gvk.Group, gvk.Version, gvk.Kind}] = t
		}
	}
	var order []kind
	for k := range kinds {
		order = append(order, k)
	}
	sort.Slice(order, func(i, j int) bool { return fmt.Sprint(order[i]) < fmt.Sprint(order[j]) })
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, k := range order {
		group := k.group
		if group == "" {
			group = "-"
		}
		visit(kinds[k])
		fmt.Fprintln(out, "K", group, k.version, k.kind, short(kinds[k]))
	}
	for len(queue) > 0 {
		t := queue[0]
		queue = queue[1:]
		fields(t)
	}
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
}
