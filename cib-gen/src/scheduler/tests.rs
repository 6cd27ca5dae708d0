#![allow(clippy::unwrap_used)]

use super::*;
use insta::assert_debug_snapshot;

/// What crm_simulate 2.1 prints, shortened: the node of everything has failed.
const PRINTED: &str = r#"<pacemaker-result api-version="2.25" request="crm_simulate">
  <cluster_status>
    <nodes><node name="n1" id="1" online="false" unclean="true"/></nodes>
    <resources>
      <resource id="vip" role="Started" blocked="false" orphaned="false"><node name="n1" id="1"/></resource>
      <clone id="data-clone">
        <resource id="data" role="Master" blocked="false" orphaned="false"><node name="n1" id="1"/></resource>
        <resource id="data" role="Slave" blocked="false" orphaned="false"><node name="n2" id="2"/></resource>
        <resource id="data" role="Stopped" blocked="false" orphaned="false"/>
      </clone>
    </resources>
  </cluster_status>
  <actions/>
  <transition>
    <rsc_action resource="data" op="cancel" node="n2" interval="20000"/>
    <fencing_action target="n1" op="reboot"/>
    <pseudo_action task="vip_stop_0"/>
    <rsc_action resource="data:1" op="notify" node="n2"/>
    <rsc_action resource="data:1" op="promote" node="n2"/>
    <cluster_action task="clear_failcount" node="n2" id="data"/>
    <rsc_action resource="vip" op="start" node="n2"/>
    <rsc_action resource="vip" op="monitor" node="n2" interval="10000"/>
  </transition>
  <revised_cluster_status>
    <nodes>
      <node name="n1" id="1" online="false"/>
      <node name="n2" id="2" online="true"/>
    </nodes>
    <resources>
      <resource id="vip" role="Started" blocked="true" orphaned="false"><node name="n2" id="2"/></resource>
      <clone id="data-clone">
        <resource id="data" role="Promoted" blocked="false" orphaned="false"><node name="n2" id="2"/></resource>
        <resource id="data" role="Stopped" blocked="false" orphaned="false"/>
        <resource id="data:3" role="Stopped" blocked="false" orphaned="true"/>
      </clone>
    </resources>
  </revised_cluster_status>
  <status code="0" message="OK"/>
</pacemaker-result>"#;

#[test]
fn what_crm_simulate_prints_is_read() {
    assert_debug_snapshot!(Transition::read(PRINTED, "the CIB".to_owned()).unwrap());
}

#[test]
fn what_it_does_not_print_is_an_error() {
    let error = |text: &str| {
        Transition::read(text, String::new())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error(""), "it is no XML: it ends before its end");
    assert_eq!(
        error("<pacemaker-result><cluster_status/></pacemaker-result>"),
        "its <pacemaker-result> has no <revised_cluster_status>"
    );
}

#[test]
fn what_happens_is_a_run_before_that_of_what_is_done() {
    let task = Task {
        resource: "pbx".to_owned(),
        operation: "start".to_owned(),
        interval: 0,
        node: "n1".to_owned(),
        code: 1,
    };
    let events = [Event::WillFail(task), Event::NodeFail("n1".to_owned())];
    let (first, last) = runs(&events, "b", "c", "a");
    assert_eq!(
        first.unwrap().join(" "),
        "--xml-file b --save-input c --node-fail=n1"
    );
    assert_eq!(
        last.join(" "),
        "--simulate --output-as=xml --xml-file c --save-output a --op-fail=pbx_start_0@n1=1"
    );
    let (first, last) = runs(&[], "b", "c", "a");
    assert_eq!(first, None);
    assert!(last.contains(&"b".to_owned()), "{last:?}");
}
