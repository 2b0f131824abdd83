use super::*;
use crate::settings::{Layer, Settings, Unmapped, file, keys, render_config, resolve, unmapped, warnings};

const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

const WHOLE: &str = "name: mine
nodes:
- role: control-plane
  image: kindest/node:v1.33.1
  extraPortMappings:
  - {hostPort: 19530, containerPort: 31530, listenAddress: 127.0.0.1}
  - {hostPort: 31000, containerPort: 31000, listenAddress: 127.0.0.1, protocol: tcp}
  - {containerPort: 30081}
  - {hostPort: 53, containerPort: 30053, protocol: UDP}
- role: control-plane
- role: worker
- role: worker
networking: {serviceSubnet: 10.7.0.0/16}
";

fn of(rest: &str) -> KindFile {
    parse(Path::new("kind.yaml"), &format!("{HEAD}{rest}"))
}

fn settings_with(layer: Layer, rest: &str) -> Settings {
    resolve(layer.with_kind_file(of(rest)), None).unwrap()
}

fn settings(rest: &str) -> Settings {
    settings_with(Layer::default(), rest)
}

fn problems(rest: &str) -> Vec<String> {
    let resolved = resolve(Layer::default().with_kind_file(of(rest)), None);
    resolved.unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_kind_config_defines_the_cluster() {
    let cluster = settings(WHOLE).cluster;
    assert_eq!((cluster.name.as_str(), cluster.control_planes, cluster.workers), ("mine", 2, 2));
    assert_eq!(cluster.node_image.as_ref().map(ImageSetting::as_str), Some("kindest/node:v1.33.1"));
    assert_eq!(
        cluster.ports,
        [PortMapping { host: 19530, node: 31530 }, PortMapping { host: 31000, node: 31000 }]
    );
    assert_eq!(cluster.listen_address.to_string(), "127.0.0.1");
    assert_eq!(cluster.service_subnet, "10.7.0.0/16");
}

#[test]
fn a_kind_config_without_nodes_is_one_node_without_ports() {
    let cluster = settings("").cluster;
    assert_eq!((cluster.name.as_str(), cluster.control_planes, cluster.workers), ("milvus-cluster", 1, 0));
    assert_eq!((cluster.ports, cluster.node_image), (vec![], None));
    assert_eq!(cluster.service_subnet, "10.96.0.0/16");
}

#[test]
fn the_name_in_the_kind_config_beats_only_the_default() {
    let mut flags = Layer::default();
    flags.set(keys::CLUSTER_NAME, "flag", Origin::Flag("name"));
    assert_eq!(settings_with(flags, "name: mine\n").cluster.name, "flag");
    let config = file::parse(Path::new("m.yaml"), "cluster: {name: config}");
    assert_eq!(settings_with(config, "name: mine\n").cluster.name, "config");
    assert_eq!(settings("name: mine\n").cluster.name, "mine");
}

#[test]
fn the_printed_configuration_names_the_line_in_the_kind_config() {
    let printed = render_config(&settings(WHOLE)).unwrap();
    for line in [
        "  name: mine  # from: kind.yaml:3\n",
        "  workers: 2  # from: kind.yaml:5\n",
        "  nodeImage: \"kindest/node:v1.33.1\"  # from: kind.yaml:6\n",
        "  serviceSubnet: 10.7.0.0/16  # from: kind.yaml:15\n",
        "  ports: [\"19530:31530\",\"31000:31000\"]  # from: kind.yaml:8\n",
        "  listenAddress: \"127.0.0.1\"  # from: kind.yaml:8\n",
    ] {
        assert!(printed.contains(line), "{line}{printed}");
    }
}

#[test]
fn settings_that_contradict_the_kind_config_are_warned_about() {
    let config = |text: &str| file::parse(Path::new("m.yaml"), text);
    assert_eq!(
        warnings(&settings_with(config("cluster: {workers: 1}"), WHOLE)),
        ["`cluster.workers` has no effect, since your own kind configuration is used as is; set it there"]
    );
    assert_eq!(warnings(&settings_with(config("cluster: {workers: 2}"), WHOLE)), [""; 0]);
}

#[test]
fn unmapped_node_ports_are_reported_with_a_fix() {
    let only_attu = "nodes:\n- role: control-plane\n  extraPortMappings:\n  - {containerPort: 31000, hostPort: 31000, listenAddress: 127.0.0.1}\n";
    let unmapped = unmapped(&settings(only_attu));
    assert_eq!(
        unmapped.iter().map(Unmapped::warning).collect::<Vec<_>>(),
        [
            "no host port maps to Milvus's node port 31530, so it is not exposed; add `{containerPort: 31530, hostPort: 19530, listenAddress: 127.0.0.1}` to a node's `extraPortMappings` in your own kind configuration, or use `milvusctl forward milvus`"
        ]
    );
}

#[test]
fn ports_listen_on_all_addresses_by_default_like_in_kind() {
    let text = "nodes:\n- extraPortMappings:\n  - {containerPort: 31000, hostPort: 31000}\n  - {containerPort: 31530, hostPort: 19530, listenAddress: 127.0.0.1}\n";
    assert_eq!(settings(text).cluster.listen_address.to_string(), "0.0.0.0");
    assert!(warnings(&settings(text))[0].contains("set `listenAddress` of each port"));
}

#[test]
fn unknown_keys_are_refused_with_their_position() {
    assert_eq!(
        problems(
            "nodse: []\nnodes:\n- role: control-plane\n  extraPortMapping: []\n- {role: worker, zone: a}\n"
        ),
        [
            "kind.yaml: nodse: unknown key; did you mean `nodes`? (line 3, column 1)",
            "kind.yaml: nodes[0].extraPortMapping: unknown key; did you mean `extraPortMappings`? (line 6, column 3)",
            "kind.yaml: nodes[1].zone: unknown key; kind expects one of `role`, `image`, `labels`, `extraMounts`, `extraPortMappings`, `kubeadmConfigPatches`, `kubeadmConfigPatchesJSON6902` (line 7, column 18)",
        ]
    );
}

#[test]
fn what_kind_rejects_is_refused() {
    for (rest, expected) in [
        ("name: A_b\n", "kind.yaml: name: expected a name"),
        ("name: a\nname: b\n", "kind.yaml: name: is given twice (line 4, column 1)"),
        ("nodes: {}\n", "kind.yaml: nodes: expected a list, found a mapping"),
        ("nodes: [{role: worker}]\n", "at least one node with `role: control-plane`"),
        ("nodes: [{role: master}]\n", "nodes[0].role: expected `control-plane` or `worker`, found `master`"),
        ("nodes: [{image: 'Not An Image'}]\n", "nodes[0].image: expected an image"),
        ("nodes: [{extraPortMappings: [{hostPort: a}]}]\n", "hostPort: expected a number, found `a`"),
        ("nodes: [{extraPortMappings: [{hostPort: 70000}]}]\n", "expected a port up to 65535, found `70000`"),
        ("nodes: [{extraPortMappings: [{protocol: icmp}]}]\n", "expected `TCP`, `UDP` or `SCTP`"),
        ("networking: {disableDefaultCNI: 1}\n", "expected `true` or `false`, found `1`"),
    ] {
        let found = problems(rest);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{rest}: {found:?}");
    }
}

#[test]
fn what_kind_accepts_is_accepted() {
    for rest in [
        "name: 1\nfeatureGates: {A: true, B: yes}\nruntimeConfig: {api/all: 'true', x: false}\n",
        "networking: {apiServerPort: 6443, dnsSearch: [], kubeProxyMode: ipvs}\ncontainerdConfigPatches:\n",
        "nodes:\n- &node {role: control-plane, labels: {a: 1}, extraMounts: [{hostPath: /a, containerPath: /b, readOnly: true}]}\n- {<<: *node, role: worker}\n",
        "nodes: [{extraPortMappings: [{hostPort: -1, containerPort: 80}]}]\n",
    ] {
        assert_eq!(of(rest).problems, [], "{rest}");
    }
}

#[test]
fn explicit_keys_beat_merged_ones() {
    let cluster = settings(
        "nodes:\n- &node {role: control-plane, image: 'kindest/node:v1.33.1'}\n- {<<: *node, role: worker}\n",
    )
    .cluster;
    assert_eq!((cluster.control_planes, cluster.workers), (1, 1));
    assert_eq!(cluster.own.unwrap().document["nodes"][1]["image"], "kindest/node:v1.33.1");
}

#[test]
fn other_kinds_of_documents_are_refused() {
    let said = |text: &str| {
        let file = parse(Path::new("kind.yaml"), text);
        file.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        said("kind: Pod\napiVersion: v1\nspec: {}\n"),
        [
            "kind.yaml: expected `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`, found `Pod` and `v1` (line 1, column 1)"
        ]
    );
    assert_eq!(said("").len(), 1);
    assert!(said("{")[0].starts_with("kind.yaml: did not find expected node content"), "{:?}", said("{"));
}

#[test]
fn several_control_planes_without_workers_schedule_no_pods() {
    let found = of("nodes: [{role: control-plane}, {role: control-plane}]\n").warnings;
    assert!(found[0].starts_with("no pod can be scheduled"), "{found:?}");
    assert_eq!(of("nodes: [{role: control-plane}]\n").warnings, [""; 0]);
}

#[test]
fn patches_that_kind_drops_are_warned_about() {
    let warnings = |image: &str, version: &str| {
        of(&format!(
            "nodes: [{{role: control-plane, image: \"{image}\"}}]\nkubeadmConfigPatches:\n- |\n  apiVersion: kubeadm.k8s.io/{version}\n  kind: ClusterConfiguration\n"
        ))
        .warnings
        .len()
    };
    assert_eq!(warnings("kindest/node:v1.20.2", "v1beta3"), 1);
    assert_eq!(warnings("kindest/node:v1.20.2", "v1beta2"), 0);
    assert_eq!(warnings(&format!("kindest/node:v1.33.1@sha256:{}", "0".repeat(64)), "v1beta3"), 0);
    assert_eq!(warnings("kindest/node:v1.36.1", "v1beta4"), 0);
    assert_eq!(warnings("kindest/node", "v1beta3"), 1);
}

#[test]
fn misplaced_fields_from_the_article_are_warned_about() {
    let found = of(
        "kubeadmConfigPatches:\n- |\n  kind: ClusterConfiguration\n  nodeRegistration: {}\n  ---\n  kind: InitConfiguration\n  networking: {}\n  imageRepository: x\n",
    );
    assert_eq!(
        found.warnings,
        [
            "kubeadm ignores `nodeRegistration` in `ClusterConfiguration`; put it into `InitConfiguration` and `JoinConfiguration`",
            "kubeadm ignores `networking` in `InitConfiguration`; put it into kind's own `networking`",
            "kubeadm ignores `imageRepository` in `InitConfiguration`; put it into `ClusterConfiguration`",
        ]
    );
}

#[test]
fn old_containerd_mirrors_are_warned_about() {
    let found = of(
        "containerdConfigPatches:\n- |\n  [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n    endpoint = [\"http://a\"]\n",
    );
    assert!(
        found.warnings[0].starts_with("the patch of `registry.mirrors` keeps containerd 2.2 from starting")
    );
}
