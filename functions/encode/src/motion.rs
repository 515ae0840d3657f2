//! How much moves where in a window, from the luma of pictures that are decoded anyway.
//!
//! Pictures are shrunk to a grid of cells, and a cell moves if its brightness varies over the window by more than it
//! should. What it should vary by is learned from the window itself, since a function remembers nothing:
//!
//! - *exposure steps, flicker of lamps*: brightness may change as a function of brightness (a gain, a gamma, clipping),
//!   and row by row (a rolling shutter under mains light). Both are estimated as medians over many cells, and
//!   taken out;
//! - *sensor noise*: what most cells of like brightness change by from picture to picture is noise. So is rain: it
//!   changes many cells a little;
//! - *a camera that trembles*: an edge may change by a part of the step to its neighbours;
//! - *rain, snow, insects close by*: what is seen in one picture and in neither neighbour is left out by a median of
//!   three, where pictures are close enough in time that nobody who walks would be left out too.
//!
//! All of it is integer arithmetic: every machine writes the same segment.

use std::array;

use teiten_footage::{MotionMap, Window};

use crate::picture::Picture;

/// Cells of the grid: each of the map's is made of two by two.
const COLUMNS: usize = MotionMap::COLUMNS * 2;
const ROWS: usize = MotionMap::ROWS * 2;
const CELLS: usize = COLUMNS * ROWS;

/// Pictures looked at for each second of a window, at most.
const PICTURES_PER_SECOND_MAX: usize = 8;
/// With fewer, the median of three would leave out people who walk.
const PICTURES_PER_SECOND_FILTERED: usize = 6;
/// Rows of samples that are summed up for a row of cells, at most.
const LINES_MAX: usize = 4;
/// A cell's brightness is counted in these parts of a luma step.
const PARTS: u32 = 16;
/// Groups of cells of like brightness, equally many in each.
const TONES: usize = 12;
const TONE_CELLS: usize = CELLS / TONES;
const _: () = assert!(TONE_CELLS * TONES == CELLS);

/// A change that is always let pass: 2¼ luma steps.
const FLOOR: i32 = 36;
/// A cell's noise is what 85 % of the cells of its tone do not exceed from picture to picture …
const NOISE_PERCENT: usize = 85;
/// … and this many times that is let pass.
const NOISE_FACTOR: i32 = 2;
/// The part of the greatest step to a neighbour that is let pass.
const EDGE_DIVISOR: i32 = 5;

type Grid = [i32; CELLS];

/// Looks at the pictures of one window.
#[derive(Debug)]
pub struct Meter {
    /// How many pictures there are.
    pictures: usize,
    /// How many of them are to be looked at.
    wanted: usize,
    is_filtered: bool,
    grids: Vec<Box<Grid>>,
    columns: Vec<u16>,
}

impl Meter {
    /// A meter for a window with this many pictures.
    pub fn new(window: Window, pictures: usize) -> Self {
        let millis = window.length().millis() as usize;
        let wanted = pictures.min(millis * PICTURES_PER_SECOND_MAX / 1000);
        let is_filtered = wanted * 1000 >= PICTURES_PER_SECOND_FILTERED * millis;
        Self { pictures, wanted, is_filtered, grids: Vec::new(), columns: Vec::new() }
    }

    /// Looks at a picture, `index` pictures after the window's first: at those that lie evenly in it.
    pub fn look(&mut self, index: usize, picture: &Picture) {
        if self.grids.len() < self.wanted && index >= self.grids.len() * self.pictures / self.wanted {
            self.grids.push(shrunk(picture, &mut self.columns));
        }
    }

    /// What moved. Nothing can be said of fewer than two pictures.
    pub fn finish(self) -> MotionMap {
        let Self { mut grids, is_filtered, .. } = self;
        let Some((reference, others)) = grids.split_first_mut().filter(|(_, others)| !others.is_empty())
        else {
            return MotionMap::default();
        };
        let tones = Tones::of(reference);
        for grid in others {
            tones.level_out(reference, grid);
            level_out_rows(reference, grid);
        }
        let noise = tones.noise(&grids);
        let strength = |cell: usize| {
            let allowed =
                FLOOR + NOISE_FACTOR * noise[tones.of_cell[cell]] + edge(&grids[0], cell) / EDGE_DIVISOR;
            range(&grids, cell, is_filtered) * i32::from(MotionMap::PLAIN) / allowed
        };
        let strengths: Vec<i32> = (0..CELLS).map(strength).collect();
        // Two of the four agree: what is in one of them alone is noise.
        let pooled = |cell: usize| {
            let (row, column) = (cell / MotionMap::COLUMNS * 2, cell % MotionMap::COLUMNS * 2);
            let first = row * COLUMNS + column;
            let mut four =
                [first, first + 1, first + COLUMNS, first + COLUMNS + 1].map(|cell| strengths[cell]);
            four.sort_unstable();
            four[2].min(MotionMap::STRENGTH_MAX.into()) as u8
        };
        MotionMap::from_strengths(&array::from_fn(pooled))
    }
}

/// The mean luma of each cell, in [`PARTS`].
fn shrunk(picture: &Picture, columns: &mut Vec<u16>) -> Box<Grid> {
    let (width, height) = (usize::from(picture.size.width()), usize::from(picture.size.height()));
    let mut grid = Box::new([0; CELLS]);
    for (row, cells) in grid.chunks_exact_mut(COLUMNS).enumerate() {
        let lines = span(row, ROWS, height);
        let step = lines.len().div_ceil(LINES_MAX);
        columns.clear();
        columns.resize(width, 0);
        let mut count = 0;
        for line in lines.step_by(step) {
            let samples = picture.planes[0].row(line, width);
            // The sums of a few lines never wrap; saying so lets the compiler add many at a time in every build.
            let add = |(sum, sample): (&mut u16, &u8)| *sum = sum.wrapping_add(u16::from(*sample));
            columns.iter_mut().zip(samples).for_each(add);
            count += 1;
        }
        for (column, cell) in cells.iter_mut().enumerate() {
            let span = span(column, COLUMNS, width);
            let area = count * span.len() as u32;
            let sum = columns[span].iter().fold(0_u32, |sum, column| sum.wrapping_add(u32::from(*column)));
            *cell = (sum * PARTS / area) as i32;
        }
    }
    grid
}

/// The samples of one of `count` parts of a side. Those of a side shorter than that overlap.
fn span(index: usize, count: usize, length: usize) -> std::ops::Range<usize> {
    let begin = index * length / count;
    begin..((index + 1) * length / count).max(begin + 1)
}

/// The value that half of `values` do not exceed.
fn median(values: &mut [i32]) -> i32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

/// The cells of a picture by brightness.
struct Tones {
    /// All cells, dark ones first: each tone has [`TONE_CELLS`] of them.
    order: Vec<usize>,
    of_cell: Vec<usize>,
    /// The brightness in the middle of each tone.
    middle: [i32; TONES],
}

impl Tones {
    fn of(grid: &Grid) -> Self {
        let mut order: Vec<usize> = (0..CELLS).collect();
        order.sort_unstable_by_key(|cell| (grid[*cell], *cell));
        let mut of_cell = vec![0; CELLS];
        for (tone, cells) in order.chunks_exact(TONE_CELLS).enumerate() {
            cells.iter().for_each(|cell| of_cell[*cell] = tone);
        }
        let middle = array::from_fn(|tone| grid[order[tone * TONE_CELLS + TONE_CELLS / 2]]);
        Self { order, of_cell, middle }
    }

    /// Takes out of `grid` what the cells of each tone have changed by since `reference`.
    fn level_out(&self, reference: &Grid, grid: &mut Grid) {
        let mut changes = [0; TONE_CELLS];
        let mut tones = self.order.chunks_exact(TONE_CELLS);
        let change: [i32; TONES] = array::from_fn(|_| {
            let cells = tones.next().expect("there are as many chunks as tones");
            changes.iter_mut().zip(cells).for_each(|(change, cell)| *change = grid[*cell] - reference[*cell]);
            median(&mut changes)
        });
        for (cell, reference) in grid.iter_mut().zip(reference) {
            let above = self.middle.partition_point(|middle| middle <= reference);
            *cell -= match above {
                0 => change[0],
                TONES => change[TONES - 1],
                _ => {
                    let (from, to) = (self.middle[above - 1], self.middle[above]);
                    let step = change[above] - change[above - 1];
                    change[above - 1] + step * (reference - from) / (to - from)
                }
            };
        }
    }

    /// For each tone, how much its cells change from picture to picture; between those where they do most.
    fn noise(&self, grids: &[Box<Grid>]) -> [i32; TONES] {
        let mut changes = [0; TONE_CELLS];
        array::from_fn(|tone| {
            let cells = &self.order[tone * TONE_CELLS..][..TONE_CELLS];
            let between = |pair: &[Box<Grid>]| {
                let change = |cell: &usize| (pair[1][*cell] - pair[0][*cell]).abs();
                changes.iter_mut().zip(cells).for_each(|(to, cell)| *to = change(cell));
                *changes.select_nth_unstable(TONE_CELLS * NOISE_PERCENT / 100).1
            };
            grids.windows(2).map(between).max().unwrap_or_default()
        })
    }
}

/// Takes out of `grid` what each row as a whole has changed by since `reference`.
fn level_out_rows(reference: &Grid, grid: &mut Grid) {
    for (row, reference) in grid.chunks_exact_mut(COLUMNS).zip(reference.chunks_exact(COLUMNS)) {
        let mut changes: [i32; COLUMNS] = array::from_fn(|column| row[column] - reference[column]);
        let change = median(&mut changes);
        row.iter_mut().for_each(|cell| *cell -= change);
    }
}

/// The greatest step from a cell to those beside, above and below it.
fn edge(grid: &Grid, cell: usize) -> i32 {
    let (row, column) = (cell / COLUMNS, cell % COLUMNS);
    let beside = [
        (column > 0).then(|| cell - 1),
        (column + 1 < COLUMNS).then(|| cell + 1),
        (row > 0).then(|| cell - COLUMNS),
        (row + 1 < ROWS).then(|| cell + COLUMNS),
    ];
    beside.into_iter().flatten().map(|other| (grid[other] - grid[cell]).abs()).max().unwrap_or_default()
}

/// Between which values a cell varies; if `is_filtered`, without what is seen in a single picture.
fn range(grids: &[Box<Grid>], cell: usize, is_filtered: bool) -> i32 {
    let (mut least, mut most) = (i32::MAX, i32::MIN);
    let mut see = |value: i32| (least, most) = (least.min(value), most.max(value));
    if is_filtered && grids.len() > 4 {
        for three in grids.windows(3) {
            let [a, b, c] = array::from_fn(|i| three[i][cell]);
            see(a.min(b).max(a.max(b).min(c)));
        }
    } else {
        grids.iter().for_each(|grid| see(grid[cell]));
    }
    most - least
}
