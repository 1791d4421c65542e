//! The interpreter's frames, which an exploration reads while an instruction is about to be executed.
//!
//! The layout is that of 3.12 to 3.14. `raddle.check` verifies it against a frame of which everything is known before it
//! relies on it.
//!
//! Since 3.14, a variable or a value on the stack is tagged in its two lowest bits. A *borrowed* reference does not count:
//! the variable that it was loaded from does, or the object is immortal. A small integer of the interpreter's own, such as
//! the position in the code that an exception handler keeps, has both bits.

use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;

/// A frame of the interpreter, of a thread that is attached to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame(*const usize);

/// Words from the beginning of a frame.
const CODE: usize = 0;
const PREVIOUS: usize = 1;
const GLOBALS: usize = 3;
const BUILTINS: usize = 4;
const LOCALS: usize = 5;
const INSTRUCTION: usize = 7;

/// What differs between versions.
#[derive(Debug)]
struct Layout {
    /// Words from the beginning of a frame to its variables and its stack.
    slots: usize,
    /// The bits of a slot that are no part of the address.
    tags: usize,
}

/// The tag of a reference that does not own its object.
const BORROWED: usize = 0b01;

fn layout(py: Python<'_>) -> &'static Layout {
    static LAYOUT: OnceLock<Layout> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        if py.version_info() >= (3, 14) {
            Layout { slots: 10, tags: 0b11 }
        } else {
            Layout { slots: 9, tags: 0 }
        }
    })
}

impl Layout {
    /// Returns the address of the object that a slot refers to, or 0 if it refers to none.
    fn address(&self, slot: usize) -> usize {
        let is_integer = self.tags != 0 && slot & self.tags == self.tags;
        if is_integer { 0 } else { slot & !self.tags }
    }

    /// Whether a slot counts as a reference to its object.
    fn owns(&self, slot: usize) -> bool {
        slot & self.tags & BORROWED == 0
    }
}

/// Words from the beginning of a frame object to its frame: the header of an object, and `f_back`.
const FRAME_OF_OBJECT: usize = 3;

impl Frame {
    /// Returns the frame of the Python code that called the calling function of C.
    pub(super) fn innermost(_: Python<'_>) -> Option<Self> {
        // SAFETY: the thread is attached, and a frame object refers to its frame, which exists while its code runs. The
        // layout has been verified.
        unsafe {
            let object = ffi::PyEval_GetFrame().cast::<usize>();
            if object.is_null() {
                return None;
            }
            let frame = object.add(FRAME_OF_OBJECT).read() as *const usize;
            (!frame.is_null()).then_some(Self(frame))
        }
    }

    /// Reads a word of the frame.
    fn word(self, index: usize) -> usize {
        // SAFETY: the frame exists, since its code or code that it called is being executed, and it has these words.
        unsafe { self.0.add(index).read() }
    }

    /// Returns the frame that called this one, or a frame that the interpreter inserts between them.
    pub(super) fn previous(self) -> Option<Self> {
        let previous = self.word(PREVIOUS) as *const usize;
        (!previous.is_null()).then_some(Self(previous))
    }

    /// Returns the address of the code, which may be a part of the interpreter.
    pub(super) fn code(self) -> usize {
        self.word(CODE) & !BORROWED // the tag of 3.14; no object has an odd address
    }

    /// Returns the address of the instruction that is being executed, or of the one after it.
    pub(super) fn instruction(self) -> usize {
        self.word(INSTRUCTION)
    }

    pub(super) fn address(self) -> usize {
        self.0.addr()
    }

    /// Returns the object in a word that has no tag.
    fn object(self, py: Python<'_>, index: usize) -> Option<Bound<'_, PyAny>> {
        // SAFETY: the word is null or an object that the frame refers to.
        unsafe { Bound::from_borrowed_ptr_or_opt(py, self.word(index) as *mut ffi::PyObject) }
    }

    pub(super) fn globals(self, py: Python<'_>) -> Option<Bound<'_, PyAny>> {
        self.object(py, GLOBALS)
    }

    /// Returns the namespace in which code of a module, a class or `exec` looks names up first.
    pub(super) fn locals(self, py: Python<'_>) -> Option<Bound<'_, PyAny>> {
        self.object(py, LOCALS)
    }

    pub(super) fn builtins(self, py: Python<'_>) -> Option<Bound<'_, PyAny>> {
        self.object(py, BUILTINS)
    }

    /// Returns a local variable, a cell, or a value on the stack, which follows them.
    ///
    /// # Safety
    /// The slot is in use: below the depth of the stack at the instruction that is about to be executed.
    pub(super) unsafe fn slot(self, py: Python<'_>, index: usize) -> Option<Bound<'_, PyAny>> {
        let layout = layout(py);
        let object = layout.address(self.word(layout.slots + index));
        // SAFETY: the slot is in use, as the caller guarantees, so it is empty or refers to an object that is alive.
        unsafe { Bound::from_borrowed_ptr_or_opt(py, object as *mut ffi::PyObject) }
    }

    /// Whether nothing but a slot refers to its object, apart from one reference that the caller has.
    ///
    /// # Safety
    /// As for [`slot`](Self::slot).
    pub(super) unsafe fn is_private(self, py: Python<'_>, index: usize) -> bool {
        let layout = layout(py);
        let slot = self.word(layout.slots + index);
        let object = layout.address(slot) as *mut ffi::PyObject;
        // SAFETY: the slot is in use, as the caller guarantees, so the object is alive if there is one.
        !object.is_null() && layout.owns(slot) && unsafe { ffi::Py_REFCNT(object) } <= 2
    }

    /// Replaces a value on the stack.
    ///
    /// # Safety
    /// The slot is in use, and holds a reference.
    pub(super) unsafe fn replace(self, py: Python<'_>, index: usize, with: Bound<'_, PyAny>) {
        let layout = layout(py);
        // SAFETY: the slot is in use. The reference to `with` moves into it, without a tag: the slot owns it. The reference
        // that was in it moves out if the slot owned it.
        let before: Option<Bound<'_, PyAny>> = unsafe {
            let slot = self.0.cast_mut().add(layout.slots + index);
            let before = slot.replace(with.into_ptr() as usize);
            layout
                .owns(before)
                .then(|| Bound::from_owned_ptr(py, layout.address(before) as *mut ffi::PyObject))
        };
        drop(before); // runs Python code only after the stack is whole again
    }
}

/// Returns what the frame of the caller holds: its code, globals and first slots. `raddle.check` compares them with what it
/// knows before it relies on the layout.
#[pyfunction]
pub(crate) fn probe(py: Python<'_>, slots: usize) -> Option<(usize, usize, Vec<usize>)> {
    let (frame, layout) = (Frame::innermost(py)?, layout(py));
    let slots = (0..slots).map(|slot| layout.address(frame.word(layout.slots + slot))).collect();
    Some((frame.code(), frame.word(GLOBALS), slots))
}

/// Returns what a type has under a name, itself or inherited.
pub(super) fn found_on_type<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyAny>> {
    unsafe extern "C" {
        fn _PyType_Lookup(class: *mut ffi::PyTypeObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject;
    }
    // SAFETY: both are alive, the name is a string, and the result is borrowed from the type.
    unsafe {
        let found = _PyType_Lookup(ffi::Py_TYPE(object.as_ptr()), name.as_ptr());
        Bound::from_borrowed_ptr_or_opt(object.py(), found)
    }
}

/// Returns the dictionary of an instance, or `None` if it has none.
pub(super) fn dictionary<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the object is alive, and the result is a new reference or null with an exception.
    let found = unsafe {
        let found = ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut());
        if found.is_null() {
            ffi::PyErr_Clear();
        }
        Bound::from_owned_ptr_or_opt(object.py(), found)
    };
    found.filter(pyo3::types::PyAnyMethods::is_instance_of::<pyo3::types::PyDict>)
}

/// Returns the content of a cell.
pub(super) fn cell_content<'py>(cell: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    cell.getattr("cell_contents").ok()
}
