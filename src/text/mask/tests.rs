use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

/// A planted secret that no text contains by chance.
fn planted(number: usize) -> String {
    // A JWT, a PEM key and a token used as user name have their own alphabets.
    if number == 49 || number >= 69 { format!("zQ{number:02}xK7v") } else { format!("zQ{number:02}-xK7/v") }
}

/// Texts as `diagnose` collects them; `{n}` marks each planted secret.
const TEXTS: &[(&str, &str)] = &[
    (
        "pods as JSON",
        r#"{"kind":"List","items":[{"metadata":{"name":"p","annotations":{"kubectl.kubernetes.io/last-applied-configuration":
        "{\"spec\":{\"env\":[{\"name\":\"DB_PASS\",\"value\":\"{0}\"}],\"password\":\"{1}\"}}\n"}},
        "spec":{"nodeName":"milvus-cluster-worker2","containers":[{"name":"c","image":"docker.io/milvusdb/milvus:v2.4.17",
        "args":["--password","{2}","--token={3}","--url=s3://key:{4}@minio:9000/b"],
        "command":["sh","-c","mc login --secret-key '{5}' && run"],
        "env":[{"name":"UNSUSPICIOUS","value":"{6}"},{"value":"{7}","name":"DB_PWD"},{"name":"NODE_NAME","value":"node-7"},
               {"name":"SOME_PORT","value":8123456789}]}]},
        "status":{"containerStatuses":[{"imageID":"docker.io/milvusdb/milvus@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}]}}]}"#,
    ),
    (
        "a Milvus resource as JSON",
        r#"{"spec":{"config":{"minio":{"secretAccessKey":"{8}"},"common":{"security":{"defaultRootPassword":{"deep":["{9}"]}}}},
        "dependencies":{"storage":{"secretRef":"my-release-storage","endpoint":"s3.amazonaws.com:443"},
        "pulsar":{"auths":{"registry.example":{"auth":"{10}"}},"credentials":["{11}",{"x":"{12}"}]},
        "cookie":"session={13}; other={14}","AccountKey":"{15}","tokens":{"a":"{16}"}}}}"#,
    ),
    (
        "a Secret as JSON",
        r#"{"kind":"Secret","metadata":{"name":"s"},"data":{"anything":"{17}"},"stringData":{"plain":"{18}"}}"#,
    ),
    (
        "helm values as JSON",
        r#"{"extraEnv":{"PLAIN":"{19}","TZ":"Asia/Shanghai"},"env":["INLINE={20}","HOME=/root"],
        "headers":[{"name":"X-Any","value":"{21}"}],"users.yaml":"users:\n  - name: bob\n    password: {22} with spaces\n  - key: v\n"}"#,
    ),
    (
        "a description of pods",
        "Name:             my-release-0\nNode:             milvus-cluster-worker2/172.18.0.3\nAnnotations:      kubectl.kubernetes.io/last-applied-configuration:\n                    {\"spec\":{\"stringData\":{\"k\":\"{23}\"},\"image\":\"docker.io/milvusdb/milvus:v2.4.17\"}}\n                  auth-token: {24}\nContainers:\n  token-server:\n    Container ID:  containerd://4f5e\n    Image:         docker.io/milvusdb/milvus:v2.4.17\n    Image ID:      docker.io/milvusdb/milvus@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n    Args:\n      --root-password\n      {25}\n      --keep\n      me\n    Environment:\n      UNSUSPICIOUS:  {26}\n      MULTI:         first {27}\n                     second {28}\n      NODE_NAME:      (v1:spec.nodeName)\n      DB_PASS:       <set to the key 'password' in secret 'db'>  Optional: false\n      HOME:          /root\n    Mounts:\n      /var/run/secrets/kubernetes.io/serviceaccount from default-token-abcde (ro)\nVolumes:\n  my-secret:\n    Type:        Secret (a volume populated by a Secret)\n    SecretName:  db\n",
    ),
    (
        "events",
        "default  2m  Warning  Failed   pod/p  Failed to pull image \"docker.io/milvusdb/milvus:v2.4.17\": failed to fetch oauth token: unexpected status from GET request to https://auth.docker.io/token?scope=x&sig={29}: 401 Unauthorized\ndefault  2m  Normal   Pulling  pod/p  Pulling image \"vault-token:1.0\" from https://bob:{30}@registry.example/v2\ndefault  1m  Warning  BackOff  pod/p  Back-off pulling docker://nginx@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
    ),
    (
        "logs",
        "2024-05-01T00:00:00Z level=info msg=\"login\" token=\"{31}\" node=milvus-cluster-worker2\n[2024/05/01 00:00:00.000 +00:00] [INFO] [config.go:1] [\"config {\\\"password\\\":\\\"x y {32}\\\",\\\"image\\\":\\\"docker.io/milvusdb/milvus:v2.4.17\\\"}\"]\nI0501 00:00:00 1 main.go:1] map[password:{33} image:docker.io/x:1]\ncurl -H 'Authorization: Bearer {34}' -H \"Cookie: a=b; c={35}\" -u admin:{36} https://minio:9000\nmysql --password {37} --host db\npassword={38},{39} next=1\npwd=\"a\\\"{40}\"{41} next=1\nkey='it'\\''s' client_secret='it'\\''s {42}'\nDefaultEndpointsProtocol=https;AccountName=a;AccountKey={43};EndpointSuffix=x\nGET https://a.blob.core.windows.net/c?sv=2020&sig={44}&se=2024 200\nGET /b/o?X-Amz-Credential={45}&X-Amz-Signature={46} 200\nredis://:{47}@redis:6379 amqp://u:p@{48}@mq/ https://{49}@github.com/x\nargs=[\"--access-key\" \"{50}\" \"--image\" \"docker.io/x:1\"]\n{\"level\":\"info\",\"auth\":{\"user\":\"u\",\"p\":\"{51}\"},\"n\":1} trailing\nsecrets: [{52}, {53}]\n{\"password\": \"cut off {54}\n",
    ),
    (
        "a kind configuration",
        "kind: Cluster\nnodes:\n- role: control-plane\n  image: kindest/node:v1.36.4@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n  kubeadmConfigPatches:\n  - |\n    kind: InitConfiguration\n    bootstrapTokens:\n    - token: {55}\n      groups:\n      - {56}\n    nodeRegistration: {name: n}\n  extraArgs:\n  - --client-secret\n  - {57}\n",
    ),
    (
        "YAML of all sorts",
        "password: |\n  block {58}\n\n  scalar {59}\nafter: stays\ntokens:\n- {60}\n- a: {61}\nlist:\n- secretKey: >-\n    folded {62}\n  image: docker.io/milvusdb/milvus:v2.4.17\n\"quoted password\": plain words {63}\nflow: {password: \"{64}\", image: docker.io/x:1}\nenv:\n  PLAIN: {65}\n  HOME: /root\n- name: PLAIN\n  value: {66}\n- value: {67}\n  name: PLAIN\n---\napiVersion: v1\ndata:\n  anything: {68}\nkind: Secret\n---\nkind: ConfigMap\ndata:\n  anything: stays-here\n",
    ),
    (
        "shapes without names",
        "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{69}.c2lnbmF0dXJl end\nid AKIAIOSFODNN7EXAMPLE end\ngit ghp_16C7e42F292c6912E7710c838347Ae178B4a end\nlab glpat-AbCdEf0123456789xyz end\nslack xoxb-123456789012-abcdefghij end\nhook https://hooks.slack.com/services/T000/B000/XXXXXXXX end\nhub dckr_pat_AbCdEf0123456789 end\njoin abcdef.0123456789abcdef end\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGk{70}\n-----END EC PRIVATE KEY-----\nlast\n-----BEGIN OPENSSH PRIVATE KEY-----\ncut{71}",
    ),
];

/// The number of `{n}` in the texts.
const PLANTED: usize = 72;

fn text_with_secrets(text: &str) -> String {
    (0..PLANTED)
        .fold(text.to_owned(), |text, number| text.replace(&format!("{{{number}}}"), &planted(number)))
}

#[test]
fn no_planted_secret_survives() {
    let mut survivors = Vec::new();
    let mut there = 0;
    for (what, text) in TEXTS {
        let text = text_with_secrets(text);
        let shown = Mask::default().text(&text);
        for number in 0..PLANTED {
            there += usize::from(text.contains(&planted(number)));
            // A part of a secret is as bad.
            if shown.contains(&format!("zQ{number:02}")) {
                survivors.push(format!("{what}: {number}\n{shown}"));
            }
        }
    }
    assert_eq!(there, PLANTED);
    assert!(survivors.is_empty(), "{}", survivors.join("\n\n"));
    let shapes = Mask::default().text(TEXTS[TEXTS.len() - 1].1);
    for part in
        ["eyJ", "AKIA", "ghp_", "glpat", "xoxb", "T000", "dckr_pat", "0123456789abcdef", "MHcC", "cut"]
    {
        assert!(!shapes.contains(part), "{part}: {shapes}");
    }
}

#[test]
fn useful_parts_of_a_diagnosis_survive() {
    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let wanted: &[&[&str]] = &[
        &[
            "milvus-cluster-worker2",
            "docker.io/milvusdb/milvus:v2.4.17",
            DIGEST,
            "node-7",
            "--token=***",
            "sh",
        ],
        &["my-release-storage", "s3.amazonaws.com:443"],
        &["\"s\""],
        &["Asia/Shanghai", "HOME=/root", "bob", "key: v"],
        &[
            "milvus-cluster-worker2",
            "docker.io/milvusdb/milvus:v2.4.17",
            DIGEST,
            "containerd://4f5e",
            "--keep\n      me",
            "(v1:spec.nodeName)",
            "<set to the key 'password' in secret 'db'>",
            "/root",
            "default-token-abcde",
            "SecretName:  db",
            "my-release-0",
        ],
        &[
            "docker.io/milvusdb/milvus:v2.4.17",
            "401 Unauthorized",
            "vault-token:1.0",
            "registry.example/v2",
            DIGEST,
            "status from GET request to https://auth.docker.io/token",
        ],
        &[
            "milvus-cluster-worker2",
            "docker.io/milvusdb/milvus:v2.4.17",
            "docker.io/x:1",
            "https://minio:9000",
            "--host db",
            "next=1",
            "mq/",
            "@redis:6379",
            "\"level\":\"info\"",
            "trailing",
            "AccountName=a",
        ],
        &["kindest/node:v1.36.4", DIGEST, "InitConfiguration", "nodeRegistration: {name: n}"],
        &[
            "after: stays",
            "docker.io/milvusdb/milvus:v2.4.17",
            "HOME: /root",
            "anything: stays-here",
            "list:",
        ],
        &["jwt *** end", "id *** end", "join *** end", "last"],
    ];
    for ((what, text), wanted) in TEXTS.iter().zip(wanted) {
        let shown = Mask::default().text(&text_with_secrets(text));
        for part in *wanted {
            assert!(shown.contains(part), "{what}: {part}\n{shown}");
        }
    }
}

#[test]
fn texts_without_secrets_are_unchanged() {
    for text in [
        "",
        "\n",
        "secretRef: my-release-storage",
        "/var/run/secrets/kubernetes.io/serviceaccount from default-token-abcde (ro)",
        "Image: docker.io/milvusdb/milvus:v2.4.17",
        "http://127.0.0.1:31000/path@x and http://host/path@x",
        "a basic check, basic authentication",
        "--authorization-mode=Node,RBAC --tls-private-key-file=/etc/kubernetes/pki/apiserver.key --anonymous-auth=false",
        "authorizationEnabled: true\npassword: \"\"\ntoken: null\n",
        "imagePullSecrets:\n- name: regcred\n",
        "volumes:\n- name: tls\n  secret:\n    secretName: tls\n",
        "[info] {namespace} [] {}",
        "rpc error: code = NotFound desc = docker.io/library/token-server:v2: not found",
        "MountVolume.SetUp failed for volume \"x\" : secret \"db\" not found",
        "NAME   READY\np      1/1\n",
        "Reached target Basic System.",
        "E1125 07:41:50.132613     971 aws_credentials.go:77] while getting AWS credentials",
        "Get \"https://host:6443/api/v1/pods/my-token-0\": dial tcp 172.18.0.2:6443: connect: connection refused",
        "Mirrors:map[] Configs:map[] Auths:map[] Headers:map[]",
    ] {
        assert_eq!(Mask::default().text(text), text);
    }
}

#[test]
fn values_are_masked_by_their_keys_in_json() {
    let text = json!({
        "env": [{"name": "MINIO_SECRET_KEY", "value": "x"}, {"name": "HOME", "value": "/root"}],
        "storage": {"secretRef": "s", "accessKeyID": 12},
        "config": {"superUsers": "root", "defaultRootPassword": "Milvus", "token": null, "auth": false},
        "volumes": [{"name": "v", "secret": {"secretName": "tls", "defaultMode": 420}}],
        "args": ["--url=http://me:pw@host", "--password", "--other", "--token", "x", "y"],
    });
    let masked: Value = serde_json::from_str(&Mask::default().text(&text.to_string())).unwrap();
    assert_eq!(
        masked,
        json!({
            "env": [{"name": "MINIO_SECRET_KEY", "value": "***"}, {"name": "HOME", "value": "/root"}],
            "storage": {"secretRef": "s", "accessKeyID": "***"},
            "config": {"superUsers": "root", "defaultRootPassword": "***", "token": null, "auth": false},
            "volumes": [{"name": "v", "secret": {"secretName": "tls", "defaultMode": 420}}],
            "args": ["--url=http://***@host", "--password", "--other", "--token", "***", "y"],
        })
    );
}

#[test]
fn a_known_value_is_masked_in_every_place_and_encoding() {
    let mask = Mask::new(["hunter22".into(), "hunter22-long".into(), "abc".into(), "p w/\"d&".into()]);
    assert_eq!(mask.text("a hunter22-long and hunter22, abc"), "a *** and ***, abc");
    assert_eq!(mask.text(r#"["hunter22"]"#), "[\n  \"***\"\n]");
    assert_eq!(
        mask.text(r#"said "p w/\"d&" and "p w/\"d\u0026", p%20w%2F%22d%26"#),
        r#"said "***" and "***", ***"#
    );
    let login = STANDARD.encode("robot:hunter22-long");
    let shown = mask.text(&format!("login {login}"));
    assert!(shown.contains("***") && !shown.contains(&login[12..]), "{shown}");
}

#[test]
fn deeply_nested_json_terminates() {
    let deep = "[".repeat(100_000);
    assert_eq!(Mask::default().text(&deep), deep);
    let mut nested = String::from("{\"password\":\"zQ00\"}");
    for _ in 0..12 {
        nested = json!({ "a": nested }).to_string();
    }
    assert!(!Mask::default().text(&nested).contains("zQ00"));
}

/// A text with a random, correctly quoted secret.
fn written(kind: usize, secret: &str) -> String {
    let json = json!({"image": "docker.io/x:1", "dbPassword": secret, "z": 1});
    match kind {
        0 => json.to_string(),
        1 => format!("level=info msg={} done", Value::from(format!("config {json}"))),
        2 => format!("2024-01-01 started with {json} and more"),
        3 => json!({"annotations": {"last-applied": json.to_string()}}).to_string(),
        4 => format!("run --db-password '{}' --image docker.io/x:1", secret.replace('\'', r"'\''")),
        5 => format!("DB_PASSWORD='{}' next", secret.replace('\'', r"'\''")),
        6 => format!("a: 1\ndb_password: '{}'\nimage: docker.io/x:1\n", secret.replace('\'', "''")),
        7 => format!("env:\n- name: ANY\n  value: {}\n", Value::from(secret)),
        _ => format!("    Environment:\n      ANY:  {secret}\n      HOME:  /root\n"),
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_quoted_secret_survives(
        kind in 0..9_usize,
        begin in "[!-~]{0,6}",
        end in "[ -~]{0,6}",
    ) {
        // Only the middle is searched for: leaking a part of a secret is as bad as all of it.
        let secret = format!("{begin}zQmiddle{end}");
        let shown = Mask::default().text(&written(kind, &secret));
        proptest::prop_assert!(!shown.contains("zQmiddle"), "{shown}");
        if kind < 3 {
            proptest::prop_assert!(shown.contains("docker.io/x:1"), "{shown}");
        }
    }
}
