//! Rows at a stride, to read and to write.
//!
//! Kernels take their operands as these: the lengths are checked once, when a view is made, and
//! the kernels count on it.

use std::marker::PhantomData;
use std::ops::Range;

/// Rows of `width` items, the first items of each `stride` apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a, T> {
    items: &'a [T],
    rows: usize,
    width: usize,
    stride: usize,
}

impl<'a, T> View<'a, T> {
    /// # Panics
    /// When `items` are not enough for the rows.
    pub fn new(items: &'a [T], rows: usize, width: usize, stride: usize) -> Self {
        let last = rows.checked_sub(1).map_or(0, |last| last * stride + width);
        assert!(last <= items.len(), "a view lies within its items");
        Self {
            items,
            rows,
            width,
            stride,
        }
    }

    /// Rows that follow each other without a gap.
    pub fn whole(items: &'a [T], width: usize) -> Self {
        Self::new(items, items.len() / width, width, width)
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Some of the rows.
    pub fn part(&self, rows: Range<usize>) -> View<'a, T> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        let items = self.items.get(rows.start * self.stride..);
        View {
            items: items.unwrap_or_default(),
            rows: rows.len(),
            width: self.width,
            stride: self.stride,
        }
    }

    /// One of the rows.
    pub fn row(&self, row: usize) -> &'a [T] {
        assert!(row < self.rows, "a view's row");
        &self.items[row * self.stride..][..self.width]
    }

    pub fn as_ptr(&self) -> *const T {
        self.items.as_ptr()
    }
}

/// A window onto rows of numbers that are written: several threads fill windows of one buffer
/// that do not overlap.
#[derive(Debug)]
pub(super) struct Window<'a> {
    at: *mut f32,
    rows: usize,
    width: usize,
    stride: usize,
    numbers: PhantomData<&'a mut [f32]>,
}

// SAFETY: a window is a `&mut [f32]` with gaps: sending it sends numbers, and what can be done
// through a shared one is only `part`, whose contract forbids overlaps.
unsafe impl Send for Window<'_> {}
// SAFETY: as above.
unsafe impl Sync for Window<'_> {}

impl<'a> Window<'a> {
    /// A window onto all of `numbers`, which are whole rows.
    pub fn new(numbers: &'a mut [f32], width: usize) -> Self {
        Self {
            rows: numbers.len() / width,
            at: numbers.as_mut_ptr(),
            width,
            stride: width,
            numbers: PhantomData,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn stride(&self) -> usize {
        self.stride
    }

    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.at
    }

    /// A part of it.
    ///
    /// # Safety
    /// Parts that are alive at the same time do not overlap, and nothing else uses the window
    /// meanwhile.
    pub unsafe fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Window<'_> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        assert!(columns.start <= columns.end && columns.end <= self.width);
        let at = if rows.is_empty() {
            self.at
        } else {
            // SAFETY: the first row is one of the buffer's, by the checks above.
            unsafe { self.at.add(rows.start * self.stride + columns.start) }
        };
        Window {
            at,
            rows: rows.len(),
            width: columns.len(),
            stride: self.stride,
            numbers: PhantomData,
        }
    }

    /// One of its rows.
    pub fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "a window's row");
        // SAFETY: the row lies within the buffer, and `&mut self` is the only way to it.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(row * self.stride), self.width) }
    }
}
