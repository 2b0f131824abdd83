use serde_json::{Value, json};

use super::super::address::Mapping;
use super::*;

fn service(namespace: &str, name: &str, labels: &Value, spec: &Value) -> Service {
    serde_json::from_value(json!({
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": spec,
    }))
    .unwrap()
}

fn milvus() -> Service {
    let ports = json!([
        {"name": "metrics", "port": 9091, "targetPort": "metrics", "protocol": "TCP"},
        {"name": "milvus", "port": 19530, "targetPort": "milvus", "protocol": "TCP"},
    ]);
    let spec = json!({"type": "ClusterIP", "selector": {"app": "milvus"}, "ports": ports});
    service("default", "m-milvus", &json!({}), &spec)
}

fn own(labels: &Value, node_port: u16) -> Service {
    let port = json!({"name": "milvus", "port": 19530, "targetPort": "milvus", "protocol": "TCP", "nodePort": node_port});
    let spec = json!({"type": "NodePort", "selector": {"app": "milvus"}, "ports": [port]});
    service("default", "m-milvus-nodeport", labels, &spec)
}

fn ours() -> Value {
    json!({"app.kubernetes.io/managed-by": "milvusctl"})
}

fn expose(
    node_port: u16,
    service_port: Option<&str>,
    services: &[Service],
) -> Result<ExposePlan, ExposeRefusal> {
    let reach = Reach::Mapped(vec![
        Mapping { address: "127.0.0.1".into(), host: 41235, node: 6443 },
        Mapping { address: "127.0.0.1".into(), host: 19530, node: 31530 },
    ]);
    let wanted = WantedPort { target: &Target::Milvus, node_port, service_port };
    plan(wanted, &Target::Milvus.candidates("default", "m"), services, &reach)
}

fn written() -> NodePortService {
    NodePortService {
        target: "m-milvus".into(),
        namespace: "default".into(),
        labels: std::collections::BTreeMap::new(),
        selector: [("app".into(), "milvus".into())].into(),
        port_name: "milvus".into(),
        port: 19530,
        target_port: json!("milvus"),
        node_port: 31530,
    }
}

#[test]
fn a_target_gets_its_own_service() {
    assert_eq!(
        expose(31530, None, &[milvus()]),
        Ok(ExposePlan {
            namespace: "default".into(),
            name: "m-milvus-nodeport".into(),
            write: Some(written()),
            selector: vec![("app".into(), "milvus".into())],
            url: "http://127.0.0.1:19530".into(),
            is_milvus: true,
        })
    );
}

#[test]
fn an_up_to_date_service_is_not_applied_again() {
    let plan = expose(31530, None, &[milvus(), own(&ours(), 31530)]).unwrap();
    assert_eq!((plan.name.as_str(), plan.write), ("m-milvus-nodeport", None));
}

#[test]
fn an_own_service_that_differs_is_applied_again() {
    let mut other_selector = own(&ours(), 31530);
    other_selector.spec.selector.insert("x".into(), "y".into());
    let mut other_target = own(&ours(), 31530);
    other_target.spec.ports[0].target_port = json!(1);
    for there in [own(&ours(), 31000), other_selector, other_target] {
        assert_eq!(expose(31530, None, &[milvus(), there]).unwrap().write, Some(written()));
    }
}

#[test]
fn a_target_that_already_has_the_port_is_left_alone() {
    let mut milvus = milvus();
    milvus.spec.ports[1].node_port = Some(31530);
    let plan = expose(31530, None, &[milvus]).unwrap();
    assert_eq!((plan.name.as_str(), plan.write), ("m-milvus", None));
}

#[test]
fn the_articles_attu_is_found() {
    let spec = json!({"type": "NodePort", "selector": {"app": "attu"},
                      "ports": [{"port": 3000, "targetPort": 3000, "nodePort": 31000}]});
    let attu = service("default", "my-attu-svc", &json!({}), &spec);
    let reach = Reach::Mapped(vec![Mapping { address: "0.0.0.0".into(), host: 31000, node: 31000 }]);
    let wanted = WantedPort { target: &Target::Attu, node_port: 31000, service_port: None };
    let plan = plan(wanted, &Target::Attu.candidates("default", "m"), &[attu], &reach).unwrap();
    assert_eq!((plan.url.as_str(), plan.write, plan.is_milvus), ("http://127.0.0.1:31000", None, false));
}

#[test]
fn refusals_name_the_reason() {
    let headless = service("default", "m-milvus", &json!({}), &json!({"ports": [{"port": 19530}]}));
    let spec = json!({"ports": [{"port": 80, "nodePort": 31530}], "selector": {"a": "b"}});
    let other = service("web", "shop", &json!({}), &spec);
    let balancer = service("web", "lb", &json!({}), &json!({"healthCheckNodePort": 31530}));
    let rows = [
        (
            29999,
            None,
            vec![milvus()],
            true,
            "node port 29999 is out of range: expected a port from 30000 to 32767",
        ),
        (
            32768,
            None,
            vec![milvus()],
            true,
            "node port 32768 is out of range: expected a port from 30000 to 32767",
        ),
        (31530, None, vec![], false, "there is no Service `default/m-milvus` in the cluster"),
        (
            31530,
            None,
            vec![headless],
            false,
            "Service `default/m-milvus` has no selector, so there are no pods to expose",
        ),
        (
            31530,
            Some("x"),
            vec![milvus()],
            true,
            "Service `default/m-milvus` has no port `x`, found: metrics (9091), milvus (19530)",
        ),
        (31530, None, vec![milvus(), other], true, "node port 31530 is taken by Service `web/shop`"),
        (31530, None, vec![milvus(), balancer], true, "node port 31530 is taken by Service `web/lb`"),
        (
            31530,
            None,
            vec![milvus(), own(&json!({}), 31530)],
            false,
            "Service `default/m-milvus-nodeport` was not created by milvusctl (no label `app.kubernetes.io/managed-by: milvusctl`), so it was left unchanged",
        ),
        (
            31000,
            None,
            vec![milvus()],
            true,
            "node port 31000 is not mapped to a port of this machine; mapped and free: 31530 (http://127.0.0.1:19530)",
        ),
    ];
    for (port, service_port, services, is_usage, message) in rows {
        let refusal = expose(port, service_port, &services).unwrap_err();
        assert_eq!((refusal.to_string().as_str(), refusal.is_usage()), (message, is_usage));
    }
}

#[test]
fn an_unmapped_port_comes_with_every_way_out() {
    let refusal = expose(31000, None, &[milvus()]).unwrap_err();
    let wanted = WantedPort { target: &Target::Milvus, node_port: 31000, service_port: None };
    assert_eq!(
        refusal.hints(wanted),
        [
            "use a mapped port: `milvusctl expose milvus --nodeport 31530`",
            "forward a local port instead, which needs no node port: `milvusctl forward milvus`",
            "ports can only be mapped when a cluster is created: `milvusctl down`, then `milvusctl up --port 31000:31000`",
        ]
    );
}

#[test]
fn a_mapped_port_in_use_is_not_offered() {
    let spec = json!({"ports": [{"port": 80, "nodePort": 31530}], "selector": {"a": "b"}});
    let shop = service("web", "shop", &json!({}), &spec);
    assert_eq!(
        expose(31000, None, &[milvus(), shop]),
        Err(ExposeRefusal::NotMapped { port: 31000, offers: Vec::new() })
    );
}
