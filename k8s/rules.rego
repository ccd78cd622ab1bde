# What must hold for every rendered manifest. `input` is the list of documents; each finding is {where, field, rule}.
package assay

import rego.v1

workload_kinds := {"Deployment", "Job"}

workloads contains doc if {
	some doc in input
	doc.kind in workload_kinds
}

deployments contains doc if {
	some doc in workloads
	doc.kind == "Deployment"
}

pod(doc) := doc.spec.template.spec

containers(doc) := array.concat(pod(doc).containers, object.get(pod(doc), "initContainers", []))

labels(doc) := doc.spec.template.metadata.labels

where(doc) := sprintf("%s/%s", [doc.kind, doc.metadata.name])

find(doc, field, rule) := {"where": where(doc), "field": field, "rule": rule}

absent(thing, path) if object.get(thing, path, null) == null

serves(container) if {
	some port in container.ports
	port.name == "grpc"
}

deny contains find(doc, sprintf("containers[%s].image", [c.name]), "an image is named by its digest") if {
	some doc in workloads
	some c in containers(doc)
	not contains(c.image, "@sha256:")
}

deny contains find(doc, sprintf("volumes[%s].image", [v.name]), "an image is named by its digest") if {
	some doc in workloads
	some v in pod(doc).volumes
	v.image
	not contains(v.image.reference, "@sha256:")
}

# Other kinds would pass unseen by what stands below.
deny contains find(doc, "kind", "pods are made by Deployments and Jobs") if {
	some doc in input
	doc.kind in {"Pod", "ReplicaSet", "StatefulSet", "DaemonSet", "CronJob"}
}

deny contains find(doc, "metadata.namespace", "everything lies in the namespace assay") if {
	some doc in input
	doc.kind != "Namespace"
	object.get(doc, ["metadata", "namespace"], "default") != "assay"
}

deny contains find(doc, "enableServiceLinks", "a pod gets no variables of Services") if {
	some doc in workloads
	object.get(pod(doc), "enableServiceLinks", true) != false
}

deny contains find(doc, "automountServiceAccountToken", "a pod gets no token") if {
	some doc in workloads
	object.get(pod(doc), "automountServiceAccountToken", true) != false
}

deny contains find(doc, "serviceAccountName", "a pod has a service account of its own") if {
	some doc in workloads
	object.get(pod(doc), "serviceAccountName", "default") != doc.metadata.name
}

deny contains find(doc, "serviceAccountName", "the service account exists") if {
	some doc in workloads
	not account_exists(pod(doc).serviceAccountName)
}

account_exists(name) if {
	some doc in input
	doc.kind == "ServiceAccount"
	doc.metadata.name == name
}

deny contains find(doc, sprintf("securityContext.%s", [key]), "pods are restricted: uid 10001, RuntimeDefault seccomp") if {
	some doc in workloads
	some key, value in {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
	object.get(pod(doc), ["securityContext", key], null) != value
}

deny contains find(doc, sprintf("containers[%s].securityContext.%s", [c.name, key]), "containers are restricted: read-only root, no capabilities, no escalation") if {
	some doc in workloads
	some c in containers(doc)
	some key, value in {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}
	object.get(c, ["securityContext", key], null) != value
}

deny contains find(doc, sprintf("containers[%s].resources.%s.%s", [c.name, part, what]), "every container has requests and limits") if {
	some doc in workloads
	some c in containers(doc)
	some part in ["requests", "limits"]
	some what in ["cpu", "memory", "ephemeral-storage"]
	absent(c, ["resources", part, what])
}

deny contains find(doc, sprintf("volumes[%s].emptyDir.sizeLimit", [v.name]), "an emptyDir has a size") if {
	some doc in workloads
	some v in pod(doc).volumes
	v.emptyDir
	not v.emptyDir.sizeLimit
}

deny contains find(doc, "volumes", "/tmp is a volume, because the root is read-only") if {
	some doc in workloads
	some c in containers(doc)
	not mounts(c, "/tmp")
}

deny contains find(doc, "volumes", "what serves has a sized /dev/shm") if {
	some doc in deployments
	some c in containers(doc)
	serves(c)
	not mounts(c, "/dev/shm")
}

mounts(c, path) if {
	some m in c.volumeMounts
	m.mountPath == path
}

deny contains find(doc, sprintf("volumes[%s].hostPath", [v.name]), "nothing of the node is mounted") if {
	some doc in workloads
	some v in pod(doc).volumes
	v.hostPath
}

deny contains find(doc, field, "nothing of the node is shared") if {
	some doc in workloads
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	object.get(pod(doc), field, false)
}

deny contains find(doc, sprintf("containers[%s].%s", [c.name, probe]), "what serves has gRPC probes") if {
	some doc in deployments
	some c in containers(doc)
	serves(c)
	some probe in ["startupProbe", "readinessProbe", "livenessProbe"]
	absent(c, [probe, "grpc", "service"])
}

deny contains find(doc, sprintf("containers[%s].livenessProbe.grpc.service", [c.name]), "what waits for its model is not restarted: liveness asks for live") if {
	some doc in deployments
	some c in containers(doc)
	c.livenessProbe.grpc.service != "live"
}

deny contains find(doc, sprintf("containers[%s].lifecycle.preStop.sleep", [c.name]), "a pod leaves the endpoints before it stops") if {
	some doc in deployments
	some c in containers(doc)
	serves(c)
	absent(c, ["lifecycle", "preStop", "sleep", "seconds"])
}

deny contains find(doc, "topologySpreadConstraints", "replicas are spread over nodes") if {
	some doc in deployments
	some c in containers(doc)
	serves(c)
	absent(pod(doc), "topologySpreadConstraints")
}

selects(selector, doc) if {
	every key, value in selector {
		labels(doc)[key] == value
	}
}

deny contains find(doc, "PodDisruptionBudget", "what serves has a disruption budget") if {
	some doc in deployments
	some c in containers(doc)
	serves(c)
	not has_budget(doc)
}

has_budget(doc) if {
	some budget in input
	budget.kind == "PodDisruptionBudget"
	selects(budget.spec.selector.matchLabels, doc)
}

# What selects nothing does nothing, without a word.
selectors := {
	"NetworkPolicy": ["spec", "podSelector", "matchLabels"],
	"PodDisruptionBudget": ["spec", "selector", "matchLabels"],
	"Service": ["spec", "selector"],
}

deny contains find(doc, concat(".", path), "a selector selects a pod") if {
	some doc in input
	path := selectors[doc.kind]
	selector := object.get(doc, path, {})
	selector != {}
	not selects_some(selector)
}

selects_some(selector) if {
	some doc in workloads
	selects(selector, doc)
}

deny contains find(service, sprintf("ports[%s].targetPort", [port.name]), "a Service's port is one of its pods'") if {
	some service in input
	service.kind == "Service"
	some port in service.spec.ports
	some doc in deployments
	selects(service.spec.selector, doc)
	not port.targetPort in {each.name | some c in containers(doc); some each in c.ports}
}

deny contains find(monitor, "selector", "a ServiceMonitor selects a Service with its port") if {
	some monitor in input
	monitor.kind == "ServiceMonitor"
	some endpoint in monitor.spec.endpoints
	not monitored(monitor, endpoint)
}

monitored(monitor, endpoint) if {
	some service in input
	service.kind == "Service"
	every key, value in object.get(monitor, ["spec", "selector", "matchLabels"], {}) {
		service.metadata.labels[key] == value
	}
	endpoint.port in {port.name | some port in service.spec.ports}
}

deny contains find(doc, "scaleTargetRef.name", "what is scaled exists") if {
	some doc in input
	doc.kind == "ScaledObject"
	not doc.spec.scaleTargetRef.name in {each.metadata.name | some each in deployments}
}

deny contains find(doc, "behavior.scaleDown", "pods are taken away slowly: one in five minutes, after ten") if {
	some doc in input
	doc.kind == "ScaledObject"
	not goes_down_slowly(doc.spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown)
}

goes_down_slowly(down) if {
	down.stabilizationWindowSeconds >= 600
	every policy in down.policies {
		policy.type == "Pods"
		policy.value == 1
		policy.periodSeconds >= 300
	}
}

deny contains find(route, "backendRefs", "a route leads to a Service's port") if {
	some route in input
	route.kind == "GRPCRoute"
	some rule in route.spec.rules
	some backend in rule.backendRefs
	not backend.port in ports_of(backend.name)
}

ports_of(name) := {port.port |
	some service in input
	service.kind == "Service"
	service.metadata.name == name
	some port in service.spec.ports
}

deny contains find(doc, "NetworkPolicy", "every pod has a network policy of its own") if {
	some doc in workloads
	not has_policy(doc)
}

has_policy(doc) if {
	some policy in input
	policy.kind == "NetworkPolicy"
	policy.metadata.name == doc.metadata.name
	selects(policy.spec.podSelector.matchLabels, doc)
	{"Ingress", "Egress"} == {each | some each in policy.spec.policyTypes}
}

deny contains {"where": "NetworkPolicy/deny-all", "field": "podSelector", "rule": "all that is not allowed is denied"} if {
	not denies_all
}

denies_all if {
	some policy in input
	policy.kind == "NetworkPolicy"
	policy.spec.podSelector == {}
	{"Ingress", "Egress"} == {each | some each in policy.spec.policyTypes}
	not policy.spec.ingress
	not policy.spec.egress
}

# The arrows of the README's picture, and no other between our pods.
arrows := {
	["gateway", "attribute-extraction"], ["gateway", "scoring"], ["gateway", "fetch"],
	["attribute-extraction", "triton"], ["scoring", "triton"], ["ingest", "gateway"],
}

deny contains find(policy, "egress", sprintf("no arrow goes from %s to %s", [policy.metadata.name, target])) if {
	some policy in input
	policy.kind == "NetworkPolicy"
	some rule in policy.spec.egress
	some to in rule.to
	target := to.podSelector.matchLabels["app.kubernetes.io/name"]
	not [policy.metadata.name, target] in arrows
}

deny contains find(policy, "ingress", sprintf("no arrow goes from %s to %s", [source, policy.metadata.name])) if {
	some policy in input
	policy.kind == "NetworkPolicy"
	some rule in policy.spec.ingress
	some peer in rule.from
	source := peer.podSelector.matchLabels["app.kubernetes.io/name"]
	not [source, policy.metadata.name] in arrows
}

deny contains find(policy, "egress", sprintf("an arrow goes from %s to %s, on the port of its Service", [source, target])) if {
	some [source, target] in arrows
	both_run(source, target)
	policy := policy_of(source)
	not allows(object.get(policy.spec, "egress", []), "to", target, target)
}

deny contains find(policy, "ingress", sprintf("an arrow goes from %s to %s, on the port of its Service", [source, target])) if {
	some [source, target] in arrows
	both_run(source, target)
	policy := policy_of(target)
	not allows(object.get(policy.spec, "ingress", []), "from", source, target)
}

both_run(source, target) if {
	names := {doc.metadata.name | some doc in deployments}
	source in names
	target in names
}

policy_of(name) := policy if {
	some policy in input
	policy.kind == "NetworkPolicy"
	policy.metadata.name == name
}

# Whether one of the rules is about this peer, or about anybody, and about the gRPC port of the target.
allows(rules, side, peer, target) if {
	some rule in rules
	is_about(rule, side, peer)
	some port in rule.ports
	port.port in ports_of(target)
}

is_about(rule, side, peer) if {
	some each in rule[side]
	each.podSelector.matchLabels["app.kubernetes.io/name"] == peer
}

is_about(rule, side, _) if not rule[side]

deny contains find(policy, "egress", "a rule of a policy says where to, and on which port") if {
	some policy in input
	policy.kind == "NetworkPolicy"
	some rule in policy.spec.egress
	not names_both(rule, "to")
}

deny contains find(policy, "ingress", "only the gateway is called by anybody that the cluster lets in") if {
	some policy in input
	policy.kind == "NetworkPolicy"
	policy.metadata.name != "gateway"
	some rule in policy.spec.ingress
	not names_both(rule, "from")
}

names_both(rule, side) if {
	count(rule[side]) > 0
	every peer in rule[side] {
		peer != {}
		object.get(peer, "podSelector", null) != {}
		object.get(peer, "namespaceSelector", null) != {}
	}
	count(rule.ports) > 0
}

deny contains find(policy, "egress.ipBlock", "only fetch, ingest and the weights job reach out") if {
	some policy in input
	policy.kind == "NetworkPolicy"
	some rule in policy.spec.egress
	some to in rule.to
	to.ipBlock
	not policy.metadata.name in {"fetch", "ingest", "weights"}
}

deny contains find(policy, "egress.ipBlock.except", "metadata addresses are out of reach") if {
	some policy in input
	policy.kind == "NetworkPolicy"
	some rule in policy.spec.egress
	some to in rule.to
	some address in metadata_addresses[to.ipBlock.cidr]
	not address in object.get(to.ipBlock, "except", [])
}

deny contains find(policy, "egress.ipBlock.cidr", "metadata addresses are out of reach") if {
	some policy in input
	policy.kind == "NetworkPolicy"
	some rule in policy.spec.egress
	some to in rule.to
	startswith(to.ipBlock.cidr, "169.254.")
}

# Clouds serve them at 169.254.169.254, at fd00:ec2::254 and at fe80::a9fe:a9fe.
metadata_addresses := {
	"0.0.0.0/0": ["169.254.0.0/16"],
	"::/0": ["fc00::/7", "fe80::/10"],
}

deny contains find(service, "clusterIP", "Services are headless, because clients spread their calls themselves") if {
	some service in input
	service.kind == "Service"
	object.get(service.spec, "clusterIP", "") != "None"
}

deny contains find(service, sprintf("ports[%s].appProtocol", [port.name]), "gRPC ports say that they speak HTTP/2") if {
	some service in input
	service.kind == "Service"
	some port in service.spec.ports
	port.name == "grpc"
	object.get(port, "appProtocol", "") != "kubernetes.io/h2c"
}

deny contains find(namespace, "labels", "the namespace enforces restricted pods") if {
	some namespace in input
	namespace.kind == "Namespace"
	object.get(namespace, ["metadata", "labels", "pod-security.kubernetes.io/enforce"], "") != "restricted"
}
