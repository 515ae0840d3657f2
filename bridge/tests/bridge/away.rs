//! A broker that goes away, and comes back knowing nothing.

use crate::harness::{Camera, Installation, told};

#[tokio::test]
async fn a_bridge_whose_broker_is_away_is_not_ready_until_it_is_back() {
    let mut all = Installation::start().await;
    let mut camera = Camera::connect(&all.broker, "front-door").await;
    let (bridge, address) = all.bridge_that_tells();
    camera.hello().await;
    let ready = |value: u8| move |text: &str| text.contains(&format!("\nteiten_bridge_ready {value}\n"));
    told(address, ready(1)).await;
    all.broker.crash();
    told(address, ready(0)).await;
    all.broker.restart();
    told(address, ready(1)).await;
    bridge.drain().await;
}

#[tokio::test]
async fn a_camera_that_does_not_come_back_with_the_broker_is_not_told_to_be_there() {
    let mut all = Installation::start().await;
    let mut camera = Camera::connect(&all.broker, "front-door").await;
    let (bridge, address) = all.bridge_that_tells();
    camera.hello().await;
    // It says so once only.
    camera.send_to("teiten/front-door/status".to_owned(), b"online".to_vec(), true).await;
    told(address, |text| text.contains("\nteiten_bridge_camera_online{camera=\"front-door\"} 1.0\n")).await;
    all.broker.crash();
    all.broker.restart();
    camera.hello().await;
    told(address, |text| text.contains("# EOF") && !text.contains("teiten_bridge_camera_online{")).await;
    bridge.drain().await;
}
