//! The wall in a real browser: Chromium plays it through hls.js without a stall, and the clock in the picture
//! tells the delay from the camera's lens to the glass.

use std::{process::Command, time::Duration};

use teiten_tests::process::{Process, free_port, listening, program, project};

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_the_wall_through_hls_js_without_a_stall() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [http, s3, mqtt] = [free_port()?, free_port()?, free_port()?];
    let _demo = Process::start("demo", folder.path(), {
        let path = program("teiten-dev")?;
        move || {
            let mut command = Command::new(&path);
            command.args(["--cameras", "2", "--http", &http.to_string()]);
            command.args(["--s3", &s3.to_string(), "--mqtt", &mqtt.to_string()]);
            command
        }
    })?;
    listening("the viewer", http).await?;

    let browser = project().join("tests/browser");
    let watch = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .current_dir(browser)
            .args(["watch.mjs", "--url", &format!("http://127.0.0.1:{http}/"), "--seconds", "20"])
            .args(["--cameras", "2", "--screenshots", "../../artifacts"])
            .output()
    });
    let output = tokio::time::timeout(Duration::from_secs(120), watch).await???;
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the browser saw something wrong");
    Ok(())
}
