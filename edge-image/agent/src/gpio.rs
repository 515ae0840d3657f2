//! The header's pins: a motion sensor in, a status LED and an infrared light out. [`Board`] is the seam: behind
//! it is a Raspberry Pi ([`RaspberryPi`]), or whatever a test puts there.
//!
//! [`Panel`] is what the agent sees: what of `[gpio]` is there, and the board's own LED where no status LED is. A machine without GPIO, or a pin that cannot be
//! used, costs that pin only, and is in the log once.

pub(crate) mod led;
pub(crate) mod motion;

use std::{
    fs, mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::Interval};
use tracing::{info, warn};

use crate::{
    attendant::every,
    config::{Gpio, InputPin, OutputPin, Pull},
};

/// A board with pins.
pub trait Board: Send {
    /// Listens to a pin: calls `changed` with the level (high?) at each edge, from any thread, for as long as the
    /// result lives.
    fn listen(&mut self, pin: u8, pull: Pull, changed: Listener) -> Result<Box<dyn Input>, BoardError>;

    /// Makes a pin an output, which has the level `high` from the first moment on.
    fn drive(&mut self, pin: u8, high: bool) -> Result<Box<dyn Output>, BoardError>;

    /// The board's own LED, dark; high is lit.
    fn own_led(&mut self) -> Option<Box<dyn Output>> {
        None
    }
}

/// What is called at each edge of an input.
pub type Listener = Box<dyn FnMut(bool) + Send>;

/// An input that is listened to until it is dropped.
pub trait Input: Send {
    /// Whether its level is high now.
    fn is_high(&self) -> bool;
}

/// An output.
pub trait Output: Send {
    /// Sets its level.
    fn set(&mut self, high: bool);
}

/// Why a pin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// This machine has no GPIO that is known.
    #[error("there is no GPIO on this machine")]
    NoGpio,
    /// It has, and refuses.
    #[error("{why}")]
    Refused {
        /// What it says.
        why: String,
    },
}

/// A Raspberry Pi's pins, by rppal.
#[derive(Debug, Default)]
pub struct RaspberryPi {
    gpio: Option<rppal::gpio::Gpio>,
}

impl RaspberryPi {
    fn pin(&mut self, pin: u8) -> Result<rppal::gpio::Pin, BoardError> {
        let gpio = match &self.gpio {
            Some(gpio) => gpio,
            None => self.gpio.insert(rppal::gpio::Gpio::new()?),
        };
        Ok(gpio.get(pin)?)
    }
}

impl From<rppal::gpio::Error> for BoardError {
    fn from(error: rppal::gpio::Error) -> Self {
        use rppal::gpio::Error;
        match error {
            Error::UnknownModel => Self::NoGpio,
            Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound => Self::NoGpio,
            error => Self::Refused { why: error.to_string() },
        }
    }
}

impl Board for RaspberryPi {
    fn listen(&mut self, pin: u8, pull: Pull, mut changed: Listener) -> Result<Box<dyn Input>, BoardError> {
        use rppal::gpio::Trigger;
        let pin = self.pin(pin)?;
        let mut input = match pull {
            Pull::Off => pin.into_input(),
            Pull::Up => pin.into_input_pullup(),
            Pull::Down => pin.into_input_pulldown(),
        };
        // What counts as a change is decided in one place, for every board: [`motion`].
        let debounce = None;
        input.set_async_interrupt(Trigger::Both, debounce, move |edge| {
            changed(edge.trigger == Trigger::RisingEdge);
        })?;
        Ok(Box::new(input))
    }

    fn drive(&mut self, pin: u8, high: bool) -> Result<Box<dyn Output>, BoardError> {
        let pin = self.pin(pin)?;
        Ok(Box::new(if high { pin.into_output_high() } else { pin.into_output_low() }))
    }

    fn own_led(&mut self) -> Option<Box<dyn Output>> {
        Some(Box::new(OwnLed::among(Path::new("/sys/class/leds"))?))
    }
}

/// The green LED of a Raspberry Pi, by Linux's LED class. (Whichever level lights it, 1 is lit.)
struct OwnLed {
    brightness: PathBuf,
}

impl OwnLed {
    /// The one in `folder`, taken from whatever makes it blink otherwise.
    fn among(folder: &Path) -> Option<Self> {
        // The device tree's label, or the node's name where it has none.
        let led = ["ACT", "led-act", "act", "led0"].map(|name| folder.join(name));
        let led = led.into_iter().find(|led| led.is_dir())?;
        fs::write(led.join("trigger"), "none").ok()?;
        let brightness = led.join("brightness");
        fs::write(&brightness, "0").ok()?;
        Some(Self { brightness })
    }
}

impl Output for OwnLed {
    fn set(&mut self, high: bool) {
        // It could be written when it was found; an LED is worth no more words.
        let _best_effort = fs::write(&self.brightness, if high { "1" } else { "0" });
    }
}

impl Input for rppal::gpio::InputPin {
    fn is_high(&self) -> bool {
        rppal::gpio::InputPin::is_high(self)
    }
}

impl Output for rppal::gpio::OutputPin {
    fn set(&mut self, high: bool) {
        self.write(high.into());
    }
}

/// What is on the pins that the settings name.
pub(crate) struct Panel {
    pub(crate) sensor: Option<Sensor>,
    pub(crate) led: Option<Lamp>,
    pub(crate) infrared: Option<Lamp>,
}

impl Panel {
    pub(crate) fn connect(settings: &Gpio, board: &mut dyn Board) -> Self {
        let mut absent = false;
        let mut report = |key: &str, error: BoardError| match error {
            BoardError::NoGpio if absent => {}
            BoardError::NoGpio => {
                info!("there is no GPIO on this machine: [gpio] has no effect");
                absent = true;
            }
            BoardError::Refused { why } => {
                warn!(
                    key,
                    why,
                    "a pin cannot be used: name another one in [gpio], or let the agent open /dev/gpiomem"
                );
            }
        };
        let mut lamp = |key, pin: Option<OutputPin>| match Lamp::connect(pin?, board) {
            Ok(lamp) => Some(lamp),
            Err(error) => {
                report(key, error);
                None
            }
        };
        let (led, infrared) = (lamp("gpio.led", settings.led), lamp("gpio.infrared", settings.infrared));
        let led = led.or_else(|| Lamp::own_led(board));
        let sensor = settings
            .pir
            .and_then(|pin| Sensor::connect(pin, board).map_err(|error| report("gpio.pir", error)).ok());
        Self { sensor, led, infrared }
    }
}

/// A lamp on an output.
pub(crate) struct Lamp {
    output: Box<dyn Output>,
    active_high: bool,
    lit: bool,
}

impl Lamp {
    fn connect(OutputPin { pin, active_high }: OutputPin, board: &mut dyn Board) -> Result<Self, BoardError> {
        let output = board.drive(pin, !active_high)?;
        Ok(Self { output, active_high, lit: false })
    }

    /// The LED on `pin`; where there is none, the board's own.
    pub(crate) fn led_or_own(pin: Option<OutputPin>, board: &mut dyn Board) -> Option<Self> {
        pin.and_then(|pin| Self::connect(pin, board).ok()).or_else(|| Self::own_led(board))
    }

    fn own_led(board: &mut dyn Board) -> Option<Self> {
        Some(Self { output: board.own_led()?, active_high: true, lit: false })
    }

    /// Switches it on or off; whether that changed anything.
    pub(crate) fn light(&mut self, lit: bool) -> bool {
        let changes = lit != self.lit;
        if changes {
            self.output.set(lit == self.active_high);
            self.lit = lit;
        }
        changes
    }

    pub(crate) fn is_lit(&self) -> bool {
        self.lit
    }
}

/// How often a sensor's level is looked at, should its edges not be told. (Whoever listens to the pin may have ended.)
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// A sensor on an input.
pub(crate) struct Sensor {
    /// Whether it is active, and since when, as edges tell.
    levels: watch::Receiver<(bool, Instant)>,
    input: Box<dyn Input>,
    active_high: bool,
    /// What was last said.
    active: bool,
    looks: Interval,
    /// The last look saw another level than was said, and no edge was told since.
    is_untold: bool,
    missed_edges: bool,
}

impl Sensor {
    fn connect(
        InputPin { pin, active_high, pull }: InputPin,
        board: &mut dyn Board,
    ) -> Result<Self, BoardError> {
        let (sender, levels) = watch::channel((false, Instant::now()));
        let edges = sender.clone();
        let changed = move |high| {
            let _nobody_asks = edges.send((high == active_high, Instant::now()));
        };
        let input = board.listen(pin, pull, Box::new(changed))?;
        if input.is_high() == active_high {
            let _received_below = sender.send((true, Instant::now()));
        }
        let looks = every(LOOK_PERIOD);
        Ok(Self { levels, input, active_high, active: false, looks, is_untold: false, missed_edges: false })
    }

    /// Waits until the level changes: whether it is active, and since when. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> (bool, Instant) {
        loop {
            let levels = &mut self.levels;
            let edge = async {
                if levels.changed().await.is_err() {
                    // Nobody listens to the pin any more.
                    std::future::pending::<()>().await;
                }
                *levels.borrow_and_update()
            };
            let told = tokio::select! {
                biased;
                told = edge => Some(told),
                _ = self.looks.tick() => None,
            };
            if let Some((active, since)) = told {
                (self.active, self.is_untold) = (active, false);
                return (active, since);
            }
            let active = self.input.is_high() == self.active_high;
            let was_untold = mem::replace(&mut self.is_untold, active != self.active);
            // An edge of this very moment is told yet.
            if self.is_untold && was_untold {
                if !mem::replace(&mut self.missed_edges, true) {
                    warn!(
                        "edges of the motion sensor's pin are not told: its level is looked at once a second"
                    );
                }
                (self.active, self.is_untold) = (active, false);
                return (active, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    };

    use tokio::time::timeout;

    use super::*;

    /// A board that has the pins up to 9, and remembers what is set.
    #[derive(Default)]
    struct Bench {
        set: Arc<Mutex<Vec<(u8, bool)>>>,
        listeners: Vec<Listener>,
        /// Of every input.
        high: Arc<AtomicBool>,
    }

    struct Wire(u8, Arc<Mutex<Vec<(u8, bool)>>>);

    struct Level(Arc<AtomicBool>);

    impl Output for Wire {
        fn set(&mut self, high: bool) {
            self.1.lock().unwrap().push((self.0, high));
        }
    }

    impl Input for Level {
        fn is_high(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Board for Bench {
        fn listen(&mut self, _: u8, _: Pull, changed: Listener) -> Result<Box<dyn Input>, BoardError> {
            self.listeners.push(changed);
            Ok(Box::new(Level(Arc::clone(&self.high))))
        }

        fn drive(&mut self, pin: u8, high: bool) -> Result<Box<dyn Output>, BoardError> {
            if pin > 9 {
                return Err(BoardError::Refused { why: "no such pin".to_owned() });
            }
            self.set.lock().unwrap().push((pin, high));
            Ok(Box::new(Wire(pin, Arc::clone(&self.set))))
        }
    }

    fn output(pin: u8, active_high: bool) -> Option<OutputPin> {
        Some(OutputPin { pin, active_high })
    }

    #[test]
    fn lamps_start_dark_whatever_level_that_is_and_a_bad_pin_costs_itself_only() {
        let mut bench = Bench::default();
        let settings = Gpio { led: output(4, false), infrared: output(12, true), pir: None };
        let mut panel = Panel::connect(&settings, &mut bench);
        assert!(panel.infrared.is_none() && panel.sensor.is_none());
        let led = panel.led.as_mut().unwrap();
        assert!(led.light(true) && !led.light(true) && led.is_lit() && led.light(false));
        assert_eq!(*bench.set.lock().unwrap(), [(4, true), (4, false), (4, true)]);
    }

    #[test]
    fn a_camera_without_a_usable_led_has_the_boards_own() {
        let leds = tempfile::tempdir().unwrap();
        assert!(OwnLed::among(leds.path()).is_none());
        let led = leds.path().join("ACT");
        fs::create_dir(&led).unwrap();
        struct Pi(PathBuf);
        impl Board for Pi {
            fn listen(&mut self, _: u8, _: Pull, _: Listener) -> Result<Box<dyn Input>, BoardError> {
                Err(BoardError::NoGpio)
            }
            fn drive(&mut self, _: u8, _: bool) -> Result<Box<dyn Output>, BoardError> {
                Err(BoardError::NoGpio)
            }
            fn own_led(&mut self) -> Option<Box<dyn Output>> {
                Some(Box::new(OwnLed::among(&self.0)?))
            }
        }
        let mut lamp = Lamp::led_or_own(output(27, false), &mut Pi(leds.path().to_owned())).unwrap();
        let written = |file: &str| fs::read_to_string(led.join(file)).unwrap();
        assert_eq!((written("trigger").as_str(), written("brightness").as_str()), ("none", "0"));
        assert!(lamp.light(true));
        assert_eq!(written("brightness"), "1");
    }

    #[tokio::test]
    async fn a_sensor_that_is_active_low_is_active_when_low() {
        let mut bench = Bench::default();
        let pir = Some(InputPin { pin: 5, active_high: false, pull: Pull::Up });
        let mut panel = Panel::connect(&Gpio { pir, ..Gpio::default() }, &mut bench);
        let sensor = panel.sensor.as_mut().unwrap();
        assert!(sensor.changed().await.0, "low from the start");
        bench.listeners[0](true);
        assert!(!sensor.changed().await.0);
    }

    #[tokio::test]
    async fn a_level_of_which_no_edge_is_told_is_seen_within_seconds() {
        let mut bench = Bench::default();
        let pir = Some(InputPin { pin: 5, active_high: true, pull: Pull::Down });
        let mut panel = Panel::connect(&Gpio { pir, ..Gpio::default() }, &mut bench);
        let sensor = panel.sensor.as_mut().unwrap();
        let period = Duration::from_millis(20);
        sensor.looks = every(period);
        for high in [true, false] {
            assert!(timeout(period * 5, sensor.changed()).await.is_err(), "nothing changes");
            bench.high.store(high, Ordering::Relaxed);
            assert_eq!(timeout(period * 500, sensor.changed()).await.unwrap().0, high);
        }
        // Asked again and again, as by the agent's loop, it looks all the same.
        bench.high.store(true, Ordering::Relaxed);
        let mut asked = 0;
        while timeout(period / 4, sensor.changed()).await.is_err() {
            asked += 1;
            assert!(asked < 2000);
        }
    }

    #[test]
    fn a_machine_without_gpio_has_an_empty_panel() {
        let settings = Gpio { led: output(4, true), infrared: output(5, true), ..Gpio::default() };
        let panel = Panel::connect(&settings, &mut RaspberryPi::default());
        assert!(panel.led.is_none() && panel.infrared.is_none());
    }
}
