//! Ceph's object gateway as a second opinion: an S3 server that shares nothing with ours. A whole cluster in a folder:
//! one monitor, one OSD that keeps its objects in memory, one gateway; without authentication among them, so without
//! keyrings. A manager only counts, and is left out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::{
    pipeline::{ACCESS_KEY, SECRET_KEY, StoreProcess},
    process::{Process, eventually, free_port},
};

/// How long the cluster's parts may take to come up, each.
const START_MAX: Duration = Duration::from_secs(60);

/// A cluster with a gateway, and an administrator whose keys are the tests' usual ones.
pub struct Radosgw {
    /// Where it listens, and its process.
    pub store: StoreProcess,
    config: PathBuf,
    mon_port: u16,
}

impl Radosgw {
    /// Starts a cluster in `<folder>/ceph`, and awaits that its gateway answers.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let home = folder.join("ceph");
        for data in ["mon", "osd", "rgw"] {
            fs::create_dir_all(home.join(data))?;
        }
        let [mon_port, port] = [free_port()?, free_port()?];
        let config = home.join("ceph.conf");
        let fsid = uuid()?;
        fs::write(&config, ceph_conf(&home, &fsid, mon_port, port))?;
        let daemon = |name: &'static str, id: &'static str| {
            let (config, log) = (config.clone(), home.clone());
            Process::start(name, &log, move || {
                let mut command = Command::new(name);
                command.args(["-f", "-n", id, "-c"]).arg(&config);
                command
            })
        };

        let monmap = home.join("monmap");
        let address = format!("[v2:127.0.0.1:{mon_port}]");
        done(
            Command::new("monmaptool")
                .args(["--create", "--fsid", &fsid, "--addv", "a", &address])
                .arg(&monmap),
        )?;
        done(
            Command::new("ceph-mon")
                .args(["--mkfs", "-i", "a", "-c"])
                .arg(&config)
                .arg("--monmap")
                .arg(&monmap),
        )?;
        let mon = daemon("ceph-mon", "mon.a")?;
        let osd_uuid = uuid()?;
        // The monitor is not up at once, and a client that came too early may wait for long.
        eventually("the monitor knows the OSD", START_MAX, async || {
            let mut ceph = tokio::process::Command::new("ceph");
            ceph.arg("-c").arg(&config).args(["--connect-timeout", "10", "osd", "new", &osd_uuid]);
            Ok(ceph.output().await?.status.success().then_some(()))
        })
        .await
        .with_context(|| mon.log_tail())?;
        done(
            Command::new("ceph-osd").args(["--mkfs", "-i", "0", "--osd-uuid", &osd_uuid, "-c"]).arg(&config),
        )?;
        let osd = daemon("ceph-osd", "osd.0")?;
        let gateway = daemon("radosgw", "client.rgw")?;
        let url = format!("http://127.0.0.1:{port}/");
        eventually("the gateway answers", START_MAX, async || Ok(reqwest::get(&url).await.ok().map(drop)))
            .await
            .with_context(|| format!("{}\n{}\n{}", mon.log_tail(), osd.log_tail(), gateway.log_tail()))?;

        let store = StoreProcess { process: gateway, port, behind: vec![osd, mon] };
        let radosgw = Self { store, config, mon_port };
        radosgw.user("admin", ACCESS_KEY, SECRET_KEY)?;
        Ok(radosgw)
    }

    /// Makes a user with these keys, who may do nothing that no policy allows.
    pub fn user(&self, name: &str, access_key: &str, secret_key: &str) -> anyhow::Result<()> {
        self.admin(&[
            "user",
            "create",
            &format!("--uid={name}"),
            &format!("--display-name={name}"),
            &format!("--access-key={access_key}"),
            &format!("--secret={secret_key}"),
            // All buckets are the administrator's.
            &format!("--max-buckets={}", if name == "admin" { 0 } else { -1 }),
        ])
        .map(drop)
    }

    /// Runs `radosgw-admin`; answers what it wrote.
    pub fn admin(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = done(Command::new("radosgw-admin").arg("-c").arg(&self.config).args(args))
            .with_context(|| format!("the monitor is on port {}", self.mon_port))?;
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn uuid() -> anyhow::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

fn done(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.output().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// Everything in one place, one copy, few placement groups, and a monitor that does not gather proposals: pools are
/// made one after another when the gateway first starts.
fn ceph_conf(home: &Path, fsid: &str, mon_port: u16, port: u16) -> String {
    let home = home.display();
    format!(
        "[global]\n\
         fsid = {fsid}\n\
         mon_host = v2:127.0.0.1:{mon_port}\n\
         mon_initial_members = a\n\
         public_addr = 127.0.0.1\n\
         ms_bind_msgr1 = false\n\
         auth_cluster_required = none\n\
         auth_service_required = none\n\
         auth_client_required = none\n\
         # The default mode is one that needs keys.\n\
         ms_mon_client_mode = crc\n\
         run_dir = {home}\n\
         admin_socket = {home}/$name.$pid.asok\n\
         log_to_file = false\n\
         log_to_stderr = true\n\
         mon_data = {home}/mon\n\
         # Else it ends by itself where less than a twentieth of the disk is free.\n\
         mon_data_avail_crit = 0\n\
         mon_allow_pool_size_one = true\n\
         mon_max_pg_per_osd = 1000\n\
         paxos_propose_interval = 0.02\n\
         paxos_min_wait = 0.01\n\
         osd_data = {home}/osd\n\
         osd_objectstore = memstore\n\
         memstore_device_bytes = 2147483648\n\
         osd_pool_default_size = 1\n\
         osd_pool_default_min_size = 1\n\
         osd_pool_default_pg_num = 1\n\
         osd_pool_default_pgp_num = 1\n\
         osd_pool_default_pg_autoscale_mode = off\n\
         osd_crush_chooseleaf_type = 0\n\
         rgw_data = {home}/rgw\n\
         rgw_frontends = beast endpoint=127.0.0.1:{port}\n\
         # With this many seconds to a day; rules are worked off when radosgw-admin asks for it.\n\
         rgw_lc_debug_interval = 1\n\
         rgw_enable_lc_threads = false\n"
    )
}
