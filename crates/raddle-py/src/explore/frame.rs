//! The interpreter's frames, which an exploration reads while an instruction is about to be executed.
//!
//! The layout is that of 3.12 and 3.13. `raddle.check` verifies it against a frame of which everything is known before
//! it relies on it.

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
const SLOTS: usize = 9;

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
        self.word(CODE)
    }

    /// Returns the address of the instruction that is being executed, or of the one after it.
    pub(super) fn instruction(self) -> usize {
        self.word(INSTRUCTION)
    }

    pub(super) fn address(self) -> usize {
        self.0.addr()
    }

    /// Returns the object in a word of the frame.
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
        self.object(py, SLOTS + index)
    }

    /// Replaces a value on the stack.
    ///
    /// # Safety
    /// The slot is in use, and holds a reference.
    pub(super) unsafe fn replace(self, py: Python<'_>, index: usize, with: Bound<'_, PyAny>) {
        let slot = self.0.cast_mut();
        // SAFETY: the slot owns a reference to its value, which moves out, and one to `with` moves in.
        let before: Bound<'_, PyAny> = unsafe {
            let slot = slot.add(SLOTS + index);
            let before = slot.read() as *mut ffi::PyObject;
            slot.write(with.into_ptr() as usize);
            Bound::from_owned_ptr(py, before)
        };
        drop(before); // runs Python code only after the stack is whole again
    }
}

/// Returns what the frame of the caller holds: its code, globals and first slots. `raddle.check` compares them with what it
/// knows before it relies on the layout.
#[pyfunction]
pub(crate) fn probe(py: Python<'_>, slots: usize) -> Option<(usize, usize, Vec<usize>)> {
    let frame = Frame::innermost(py)?;
    let slots = (0..slots).map(|slot| frame.word(SLOTS + slot)).collect();
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

/// Returns the number of references to an object.
pub(super) fn references(object: &Bound<'_, PyAny>) -> isize {
    // SAFETY: the object exists, and its thread is attached.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}
