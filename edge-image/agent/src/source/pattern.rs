//! The test picture, drawn at a steady rate.

use teiten_footage::{CameraId, Unstamped};
use tokio::task::spawn_blocking;
use tracing::error;

use super::{Health, Outlet, Ticker};
use crate::{config, pattern::Painter, stamper::Picture};

/// Draws a picture at each tick until nobody takes them any more.
pub(super) async fn play(camera: CameraId, settings: config::Pattern, outlet: Outlet) {
    let mut size = settings.size;
    let mut painter = Painter::new(&camera, size);
    let mut ticker = Ticker::new(settings.rate.period());
    outlet.health.send_replace(Health::Flowing);
    loop {
        let demand = *outlet.demand.borrow();
        let captured = ticker.tick(demand.rate(settings.rate).period()).await;
        let (wanted, quality) = (demand.size.unwrap_or(settings.size), demand.quality.unwrap_or_default());
        if size != wanted {
            size = wanted;
            painter = Painter::new(&camera, size);
        }
        painter.set_quality(quality);
        // A few milliseconds of work: not for the threads that serve the network.
        let drawn = spawn_blocking(move || {
            let jpeg =
                Unstamped::new(&painter.jpeg(captured)).expect("what the encoder gives is a whole JPEG");
            (painter, jpeg)
        });
        let jpeg;
        (painter, jpeg) = match drawn.await {
            Ok(drawn) => drawn,
            Err(error) => {
                error!(%error, "the pattern cannot be drawn any more");
                return;
            }
        };
        if outlet.pictures.send(Picture { captured, jpeg }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use teiten_footage::jpeg;

    use super::*;
    use crate::{
        config::{PictureSize, Quality, Rate, Source},
        source::{Demand, Pictures},
    };

    #[tokio::test]
    async fn rate_quality_and_size_change_while_it_runs() {
        let camera = CameraId::new("a").unwrap();
        let rate = Rate::new(50.0).unwrap();
        let settings = Source::Pattern(config::Pattern { rate, ..config::Pattern::default() });
        let mut pictures = Pictures::start(&camera, &settings).await.unwrap();
        let fine = pictures.next().await.unwrap().jpeg;
        assert_eq!(jpeg::dimensions(fine.jpeg()), Some((640, 480)));
        assert_eq!(*pictures.health().borrow(), Health::Flowing);

        pictures.demand().send_modify(|demand| demand.quality = Some(Quality::new(10).unwrap()));
        while pictures.next().await.unwrap().jpeg.jpeg().len() > fine.jpeg().len() / 2 {}

        let size = PictureSize::new(320, 240).unwrap();
        pictures.demand().send_modify(|demand| *demand = Demand { size: Some(size), ..Demand::default() });
        while jpeg::dimensions(pictures.next().await.unwrap().jpeg.jpeg()) != Some((320, 240)) {}

        pictures.demand().send_modify(|demand| demand.rate_max = Some(Rate::new(5.0).unwrap()));
        let mut last = pictures.next().await.unwrap().captured;
        loop {
            let next = pictures.next().await.unwrap().captured;
            if next.since(std::mem::replace(&mut last, next)) > Duration::from_millis(150) {
                break;
            }
        }
    }
}
