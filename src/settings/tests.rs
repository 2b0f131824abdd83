//! Tests of resolving, from what is said to the settings in force.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::origin::Problems;
use super::*;

fn from_file(text: &str) -> Result<Settings, Problems> {
    resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), text)))
}

fn settings(text: &str) -> Settings {
    from_file(text).unwrap_or_else(|problems| panic!("{text}: {problems}"))
}

fn problems(text: &str) -> Vec<String> {
    from_file(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_reproduce_the_article() {
    let settings = Settings::default();
    assert_eq!(
        settings.cluster,
        Cluster {
            name: "milvus-cluster".into(),
            context: None,
            control_planes: 1,
            workers: 3,
            node_image: None,
            service_subnet: "10.0.0.0/16".into(),
            ports: vec![PortMapping { host: 31000, node: 31000 }, PortMapping { host: 19530, node: 31530 }],
            listen_address: "127.0.0.1".parse().unwrap(),
            kind_config: None,
            own: None,
        }
    );
    assert_eq!(
        settings.mirror,
        Mirror { preset: crate::images::mirror::Preset::Aliyun, rules: vec![], push: None }
    );
    assert_eq!(
        settings.operator,
        Operator {
            version: Version::new(1, 3, 8),
            repo: "https://zilliztech.github.io/milvus-operator/".into(),
            namespace: "milvus-operator".into(),
            image: None,
            values_file: None,
        }
    );
    let milvus = &settings.milvus;
    assert_eq!((milvus.name.as_str(), milvus.namespace.as_str()), ("my-release", "default"));
    assert_eq!((milvus.mode, &milvus.version, milvus.message_store), (Mode::Cluster, &None, None));
    assert_eq!((milvus.node_port, milvus.sizing), (31530, Sizing::Laptop));
    assert_eq!(settings.attu, Attu { enabled: true, node_port: 31000, version: "v2.5.12".into() });
    assert_eq!(settings.up, Up { timeout: Duration::from_secs(1200), smoke: false });
    assert_eq!(warnings(&settings), Vec::<String>::new());
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = file::parse(Path::new("m.yaml"), "cluster: {name: file, workers: 1, nodeImage: file}");
    let mut environment = Layer::default();
    environment.set(keys::CLUSTER_NAME, "env", Origin::Environment("name"));
    environment.set(keys::CLUSTER_WORKERS, 2, Origin::Environment("workers"));
    let mut flags = Layer::default();
    flags.set(keys::CLUSTER_NAME, "flag", Origin::Flag("name"));
    let settings = resolve(flags.over(environment), Some(file)).unwrap();
    let cluster = &settings.cluster;
    assert_eq!(
        (cluster.name.as_str(), cluster.workers, cluster.node_image.as_ref().map(ImageSetting::as_str)),
        ("flag", 2, Some("file"))
    );
    assert_eq!(settings.origin(keys::CLUSTER_NAME), Origin::Flag("name"));
    assert_eq!(settings.origin(keys::CLUSTER_WORKERS), Origin::Environment("workers"));
    assert_eq!(settings.origin(keys::CLUSTER_SERVICE_SUBNET), Origin::Default);
}

#[test]
fn an_empty_flag_unsets_the_value_in_the_file() {
    let file = file::parse(Path::new("m.yaml"), "cluster: {nodeImage: file}");
    let mut flags = Layer::default();
    flags.set(keys::CLUSTER_NODE_IMAGE, "", Origin::Flag("node-image"));
    assert_eq!(resolve(flags, Some(file)).unwrap().cluster.node_image, None);
}

#[test]
fn problems_of_flags_and_file_are_reported_together() {
    let file = file::parse(Path::new("m.yaml"), "cluster: {nam: a, serviceSubnet: x}");
    let mut flags = Layer::default();
    flags.set(keys::CLUSTER_WORKERS, 10, Origin::Flag("workers"));
    flags.set_texts(keys::CLUSTER_PORTS, ["0:1".to_owned(), "80".to_owned()], &Origin::Flag("port"));
    let problems = resolve(flags, Some(file)).unwrap_err();
    assert_eq!(
        problems.to_string().lines().collect::<Vec<_>>(),
        [
            "m.yaml: cluster.nam: unknown key; did you mean `name`? (line 1, column 11)",
            "--workers: expected a number from 0 to 9, found `10`",
            "m.yaml: cluster.serviceSubnet: expected a CIDR block such as `10.0.0.0/16`, found `x` (line 1, column 34)",
            "--port: expected a host port from 1 to 65535, found `0` in `0:1`",
            "--port: expected `HOST:NODE` such as `31000:31000`, found `80`",
        ]
    );
}

#[test]
fn small_defaults_to_one_node_and_standalone() {
    let small = settings("small: true");
    assert_eq!(
        (small.cluster.workers, small.milvus.mode, small.milvus.sizing),
        (0, Mode::Standalone, Sizing::Small)
    );
    assert_eq!(small.origin(keys::CLUSTER_WORKERS), Origin::Small);
    let told = settings("small: true\ncluster: {workers: 1}\nmilvus: {mode: cluster}\n");
    assert_eq!(
        (told.cluster.workers, told.milvus.mode, told.milvus.sizing),
        (1, Mode::Cluster, Sizing::Small)
    );
}

#[test]
fn an_existing_cluster_gets_the_operators_requests() {
    assert_eq!(settings("cluster: {context: prod}").milvus.sizing, Sizing::Operator);
}

#[test]
fn a_host_port_given_twice_is_refused() {
    assert_eq!(
        problems("cluster: {ports: [\"80:30080\", \"80:30081\"]}"),
        ["m.yaml: cluster.ports: host port 80 is given twice (line 1, column 18)"]
    );
}

#[test]
fn attu_and_milvus_need_different_node_ports() {
    assert_eq!(
        problems("milvus: {nodePort: 31000}"),
        ["attu.nodePort: node port 31000 is also Milvus's; choose another"]
    );
}

#[test]
fn the_attu_version_fits_milvus() {
    let attu = |text| settings(text).attu.version;
    assert_eq!(attu("operator: {version: 1.1.4}"), "v2.4.12");
    assert_eq!(attu("operator: {version: 1.2.0}"), "v2.5.12");
    assert_eq!(attu("operator: {version: 1.3.8}\nmilvus: {version: v2.4.17}"), "v2.4.12");
    assert_eq!(attu("operator: {version: 1.1.4}\nmilvus: {image: \"a:5000/milvus:v2.5.1\"}"), "v2.5.12");
    assert_eq!(attu("operator: {version: 9.0.0}"), "v2.5.12");
    assert_eq!(attu("attu: {version: v2.6}"), "v2.6");
}

#[test]
fn a_proprietary_attu_is_warned_about() {
    assert!(warnings(&settings("attu: {version: v2.6}"))[0].starts_with("Attu v2.6 is proprietary software"));
}

#[test]
fn message_stores_must_fit_mode_and_release() {
    let verdict = |mode: &str, store: &str, version: &str| {
        from_file(&format!("milvus: {{mode: {mode}, messageStore: {store}, version: {version}}}"))
            .map(drop)
            .map_err(|problems| {
                problems
                    .to_string()
                    .split_once("messageStore: ")
                    .unwrap()
                    .1
                    .split(',')
                    .next()
                    .unwrap()
                    .to_owned()
            })
    };
    let embedded = |store: &str| Err(format!("`{store}` runs inside one pod"));
    let early = Err("`woodpecker` needs Milvus 2.6".to_owned());
    for (mode, store, version, expected) in [
        ("standalone", "rocksmq", "2.4.17", Ok(())),
        ("standalone", "rocksmq", "2.6.0", Ok(())),
        ("standalone", "woodpecker", "2.6.0", Ok(())),
        ("standalone", "woodpecker", "2.5.4", early.clone()),
        ("standalone", "natsmq", "2.5.4", Ok(())),
        (
            "standalone",
            "natsmq",
            "2.6.0",
            Err("`natsmq` was removed in Milvus 2.6 (milvus#41564)".to_owned()),
        ),
        ("standalone", "pulsar", "2.6.0", Ok(())),
        ("standalone", "kafka", "2.4.17", Ok(())),
        ("cluster", "pulsar", "2.4.17", Ok(())),
        ("cluster", "kafka", "2.6.0", Ok(())),
        ("cluster", "woodpecker", "2.6.0", Ok(())),
        ("cluster", "woodpecker", "2.4.17", early),
        ("cluster", "rocksmq", "2.6.0", embedded("rocksmq")),
        ("cluster", "natsmq", "2.4.17", embedded("natsmq")),
    ] {
        assert_eq!(verdict(mode, store, version), expected, "{mode} {store} {version}");
    }
}

#[test]
fn woodpecker_needs_an_operator_that_supports_it() {
    assert_eq!(
        problems("operator: {version: 1.2.8}\nmilvus: {messageStore: woodpecker, version: 2.6.0}"),
        [
            "m.yaml: milvus.messageStore: `woodpecker` needs milvus-operator 1.3, and this is 1.2.8 (line 2, column 24)"
        ]
    );
}

#[test]
fn naming_an_external_store_chooses_it() {
    assert_eq!(
        settings("milvus: {pulsar: {external: \"p:6650\"}}").milvus.message_store,
        Some(MessageStore::Pulsar)
    );
    assert_eq!(
        settings("milvus: {kafka: {external: [\"k:9092\"]}}").milvus.message_store,
        Some(MessageStore::Kafka)
    );
    assert_eq!(
        problems("milvus: {messageStore: woodpecker, kafka: {external: [\"k:9092\"]}}"),
        [
            "m.yaml: milvus.kafka.external: an external Kafka is set, but the message store is `woodpecker` (line 1, column 54)"
        ]
    );
}

#[test]
fn external_storage_needs_exactly_one_kind_of_credentials() {
    let storage = |rest: &str| from_file(&format!("milvus: {{storage: {{endpoint: \"s3:443\", {rest}}}}}"));
    let credentials = |rest| storage(rest).unwrap().milvus.storage.external.unwrap().credentials;
    assert_eq!(credentials("useIAM: true"), Credentials::Iam);
    assert_eq!(credentials("secretRef: s"), Credentials::Existing("s".into()));
    assert_eq!(
        credentials("accessKeyEnv: A, secretKeyFile: b"),
        Credentials::Made {
            access_key: SecretSource::Environment("A".into()),
            secret_key: SecretSource::File("b".into())
        }
    );
    for (rest, expected) in [
        ("useSSL: true", "Milvus has no credentials for this storage"),
        ("useIAM: true, secretRef: s", "exclude each other"),
        ("accessKeyEnv: A", "secretKeyEnv: is missing"),
        ("accessKeyEnv: A, accessKeyFile: b, secretKeyEnv: C", "`milvus.storage.accessKeyFile` is given too"),
        ("accessKeyEnv: \"s3cr3t!\", secretKeyEnv: C", "not the secret itself"),
    ] {
        let message = storage(rest).unwrap_err().to_string();
        assert!(message.contains(expected), "{rest}: {message}");
        assert!(!message.contains("s3cr3t"), "{message}");
    }
    assert_eq!(
        problems("milvus: {storage: {useIAM: true}}"),
        ["m.yaml: milvus.storage.useIAM: needs `milvus.storage.endpoint` (line 1, column 28)"]
    );
}

#[test]
fn pushing_needs_an_existing_cluster() {
    assert_eq!(
        problems("mirror: {push: \"127.0.0.1:5000\"}\nmilvus: {version: 2.6.0}"),
        [
            "m.yaml: mirror.push: images are pushed only for an existing cluster; name it with `cluster.context` or `--context` (line 1, column 16)"
        ]
    );
}

#[test]
fn replicas_must_fit_the_mode() {
    assert_eq!(
        problems("milvus: {replicas: {standalone: 2}}"),
        [
            "m.yaml: milvus.replicas.standalone: mode `cluster` has no component `standalone` (line 1, column 33)"
        ]
    );
}

#[test]
fn replicas_must_fit_the_release() {
    let of = |version: &str, component: &str| {
        from_file(&format!("milvus: {{version: {version}, replicas: {{{component}: 2}}}}"))
            .map(drop)
            .map_err(|problems| problems.to_string())
    };
    assert_eq!((of("2.6.0", "streamingNode"), of("2.5.4", "indexNode")), (Ok(()), Ok(())));
    for (version, component, why) in [
        ("2.5.4", "streamingNode", "`streamingNode` came with Milvus 2.6, and this is 2.5"),
        ("2.6.0", "indexNode", "`indexNode` became part of `dataNode` in Milvus 2.6, and this is 2.6"),
    ] {
        let said = of(version, component).unwrap_err();
        assert!(said.contains(&format!("milvus.replicas.{component}: {why}")), "{said}");
    }
}

#[test]
fn settings_without_effect_are_warned_about() {
    let unmapped = unmapped(&settings("cluster: {ports: [\"80:30080\"]}"));
    assert_eq!(
        unmapped.iter().map(Unmapped::warning).collect::<Vec<_>>(),
        [
            "no host port maps to Attu's node port 31000, so it is not exposed; add `31000:31000` to `cluster.ports`, or use `milvusctl forward attu`",
            "no host port maps to Milvus's node port 31530, so it is not exposed; add `19530:31530` to `cluster.ports`, or use `milvusctl forward milvus`",
        ]
    );
    assert!(
        warnings(&settings("cluster: {listenAddress: 0.0.0.0}"))[0].contains("open to the whole network")
    );
    assert!(
        warnings(&settings(&format!("cluster: {{name: {}}}", "a".repeat(51))))[0].contains("51 characters")
    );
    assert!(
        warnings(&settings("operator: {version: 1.1.4}\nmilvus: {messageStore: kafka}"))[0]
            .contains("docker.io/bitnami")
    );
}

#[test]
fn the_printed_configuration_says_where_each_value_came_from() {
    let mut flags = Layer::default();
    flags.set(keys::CLUSTER_WORKERS, 1, Origin::Flag("workers"));
    let file = file::parse(Path::new("m.yaml"), "cluster:\n  name: \"yes\"\n");
    let printed = render_config(&resolve(flags, Some(file)).unwrap()).unwrap();
    for line in [
        "  name: \"yes\"  # from: m.yaml:2\n",
        "  workers: 1  # from: --workers\n",
        "  nodeImage: \"\"  # from: default\n",
        "  ports: [\"31000:31000\",\"19530:31530\"]  # from: default\n",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

#[test]
fn the_printed_configuration_reads_back_as_the_same_settings() {
    for text in [
        "",
        "small: true",
        "cluster: {name: \"1e3\", context: \"a: b\"}\nmirror: {rules: [{registry: a.io, prefix: b.io}], push: \"c/d\"}\nmilvus: {version: 2.6.0}",
        "milvus: {spec: {config: {a: [1, \"yes\"]}}, storage: {endpoint: \"s:1\", accessKeyEnv: A, secretKeyFile: b}}",
    ] {
        let before = settings(text);
        let after = settings(&render_config(&before).unwrap());
        let values = |settings: Settings| Settings { shown: BTreeMap::new(), ..settings };
        assert_eq!(values(before), values(after), "{text}");
    }
}
