//! The test picture, drawn at a steady rate.

use teiten_footage::CameraId;
use tokio::{sync::mpsc, task::spawn_blocking};
use tracing::error;

use super::Ticker;
use crate::{config, pattern::Painter, stamper::Picture};

/// Draws a picture at each tick until nobody takes them any more.
pub(super) async fn play(camera: CameraId, settings: config::Pattern, pictures: mpsc::Sender<Picture>) {
    let mut painter = Painter::new(&camera, settings.size);
    let mut ticker = Ticker::new(settings.rate.period());
    loop {
        let captured = ticker.tick().await;
        // A few milliseconds of work: not for the threads that serve the network.
        let drawn = spawn_blocking(move || {
            let jpeg = painter.jpeg(captured);
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
        if pictures.send(Picture { captured, jpeg: jpeg.into() }).await.is_err() {
            return;
        }
    }
}
