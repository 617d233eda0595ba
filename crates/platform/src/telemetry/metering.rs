use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::process;

/// Upper bounds for names ending in `_seconds`: from half a millisecond to five minutes.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0];

/// Upper bounds for names ending in `_bytes`: from 256 bytes to 4 MiB.
const BYTES: [f64; 8] = [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// Upper bounds for everything else, which counts things.
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// How often raw histogram samples are folded into buckets when nobody scrapes; otherwise they would pile up.
const UPKEEP: Duration = Duration::from_secs(5);

static BUILD: OnceLock<(String, String)> = OnceLock::new();

/// The process's one metrics recorder, installed at the first call. Several houses in one test process share it.
///
/// # Panics
/// Never in practice: the bucket lists are constant, and a thread can be started at boot.
pub fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

/// The `/metrics` page: everything recorded, and the state of the process itself.
#[must_use]
pub fn render() -> String {
    let mut page = metrics_handle().render();
    process::describe(&mut page);
    if let Some((service, version)) = BUILD.get() {
        process::describe_build(&mut page, service, version);
    }
    page
}

/// Remembers what `build_info` says.
pub(super) fn describe_build(service: &str, version: &str) {
    BUILD.get_or_init(|| (service.to_owned(), version.to_owned()));
    metrics_handle();
}

fn install() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&COUNTS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS))
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES))
        .expect("the bucket lists are not empty")
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed in this process; /metrics will stay empty");
    }
    let upkeep = handle.clone();
    std::thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .expect("a thread can be started at boot");
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_buckets_by_their_unit_and_the_process_describes_itself() {
        metrics_handle();
        metrics::histogram!("sample_seconds").record(0.003);
        metrics::histogram!("sample_bytes").record(300.0);
        metrics::histogram!("sample_rows").record(3.0);
        describe_build("house", "1.2.3");
        let page = render();
        for line in [
            "sample_seconds_bucket{le=\"0.005\"} 1",
            "sample_bytes_bucket{le=\"1024\"} 1",
            "sample_rows_bucket{le=\"5\"} 1",
            "build_info{service=\"house\",version=\"1.2.3\"} 1",
        ] {
            assert!(page.contains(line), "{line} is missing in\n{page}");
        }
    }
}
