//! Methods that are called so often that the cost of a call matters.
//!
//! PyO3 converts the arguments of each call, counts how often the thread is attached, and catches panics. That takes as long
//! as the operation of a lock or a queue. So a class of this package has a second function for each frequent method: it performs
//! the call if the arguments are the usual ones, nothing observes the process, and the operation neither waits nor
//! runs Python code. It *declines* any other call, which is then one of PyO3's method of the same name.
//!
//! The method of PyO3 is complete without it, and defines what the arguments mean.

use std::ffi::{CStr, CString, c_int};
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString, PyTuple, PyType};
use pyo3::{Borrowed, PyClass};
use raddle::rt;

use crate::ending;

/// How a call ended.
pub(crate) enum Answer<'py> {
    Returned(Bound<'py, PyAny>),
    /// An exception without arguments.
    Raised(Bound<'py, PyAny>),
    /// It has done nothing.
    Declined,
}

impl<'py> Answer<'py> {
    #[inline]
    pub(crate) fn none(py: Python<'py>) -> Self {
        Self::Returned(py.None().into_bound(py))
    }

    #[inline]
    pub(crate) fn truth(py: Python<'py>, truth: bool) -> Self {
        Self::Returned(PyBool::new(py, truth).to_owned().into_any())
    }
}

/// A frequent method of a class.
pub(crate) trait Method {
    type Class: PyClass<Frozen = True> + Sync;

    const NAME: &'static CStr;

    /// What Python shows as the signature, such as `($self, /, item)`.
    const SIGNATURE: &'static str;

    const KEPT: &'static Kept;

    /// Performs the call, or declines it.
    ///
    /// It does not run Python code, panic or wait, and drops no [`Py`], which would be dropped late here.
    fn call<'py>(py: Python<'py>, object: &Self::Class, args: Arguments<'_, 'py>) -> Answer<'py>;
}

/// What is kept of a method as long as the process lives.
pub(crate) struct Kept {
    definition: AtomicPtr<ffi::PyMethodDef>,
    /// The method of PyO3.
    complete: AtomicPtr<ffi::PyObject>,
    /// The names of its parameters.
    names: [AtomicPtr<ffi::PyObject>; MOST],
}

/// The greatest number of parameters of a frequent method.
const MOST: usize = 3;

impl Kept {
    pub(crate) const fn new() -> Self {
        Self {
            definition: AtomicPtr::new(null_mut()),
            complete: AtomicPtr::new(null_mut()),
            names: [const { AtomicPtr::new(null_mut()) }; MOST],
        }
    }
}

/// The arguments of a call.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a, 'py> {
    py: Python<'py>,
    values: [Option<Borrowed<'a, 'py, PyAny>>; MOST],
}

impl<'a, 'py> Arguments<'a, 'py> {
    /// Returns an argument, if it was passed.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<Borrowed<'a, 'py, PyAny>> {
        self.values[index]
    }

    /// Returns an argument that is a boolean or an integer as a truth value, or the default. `None` for another value.
    #[inline]
    pub(crate) fn flag(&self, index: usize, default: bool) -> Option<bool> {
        match self.values[index] {
            None => Some(default),
            Some(value) if value.is(PyBool::new(self.py, true)) => Some(true),
            Some(value) if value.is(PyBool::new(self.py, false)) => Some(false),
            Some(value) => sign(value).map(|sign| sign != 0),
        }
    }

    /// Returns whether an argument is a timeout that need not be looked at before the thread waits: it is missing, `None`,
    /// or a number above zero.
    #[inline]
    pub(crate) fn is_timeout(&self, index: usize) -> bool {
        let is_positive = |value: Borrowed<'_, '_, PyAny>| match value.cast_exact::<PyFloat>() {
            Ok(float) => float.value() > 0.0,
            Err(_) => sign(value).is_some_and(|sign| sign > 0),
        };
        self.values[index].is_none_or(|value| value.is_none() || is_positive(value))
    }

    /// Returns whether nothing was passed.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

/// Returns the sign of an integer.
fn sign(value: Borrowed<'_, '_, PyAny>) -> Option<c_int> {
    let integer = value.cast_exact::<PyInt>().ok()?;
    let mut overflow = 0;
    // SAFETY: it is an integer, and the thread is attached, as the reference shows.
    let number = unsafe { ffi::PyLong_AsLongAndOverflow(integer.as_ptr(), &raw mut overflow) };
    Some(if overflow == 0 { c_int::from(number > 0) - c_int::from(number < 0) } else { overflow })
}

/// Adds a frequent method to its class.
pub(crate) fn add<M: Method>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<M::Class>();
    let name = M::NAME.to_str().map_err(|error| PyTypeError::new_err(error.to_string()))?;
    if !M::KEPT.complete.load(Acquire).is_null() {
        return Ok(()); // the module is imported again, and the class has the method
    }
    let complete = class.getattr(name)?;
    let parameters =
        M::SIGNATURE.trim_matches(['(', ')']).split(", ").filter(|name| !name.starts_with(['$', '/']));
    for (kept, parameter) in M::KEPT.names.iter().zip(parameters) {
        let parameter = parameter.split('=').next().unwrap_or_default();
        kept.store(PyString::intern(py, parameter).into_ptr(), Release);
    }
    let text: Option<String> = complete.getattr("__doc__")?.extract()?;
    let text = CString::new(format!("{name}{}\n--\n\n{}", M::SIGNATURE, text.unwrap_or_default()))?;
    M::KEPT.complete.store(complete.into_ptr(), Release);
    let definition = Box::new(ffi::PyMethodDef {
        ml_name: M::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: entry::<M> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: text.into_raw(),
    });
    M::KEPT.definition.store(Box::into_raw(definition), Release);
    add_to::<M>(&class)
}

/// Adds a frequent method, which has been added to its class, to a class that derives from it too. Python calls the method of
/// an object faster if it is one of the object's own class.
pub(crate) fn add_to<M: Method>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    if !class.is_subclass_of::<M::Class>()? {
        return Err(PyTypeError::new_err(format!("{class} does not derive from the class of the method")));
    }
    let definition = M::KEPT.definition.load(Acquire);
    // SAFETY: the definition lives as long as the process, and the thread is attached. The result is a new reference.
    let method =
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))? };
    class.setattr(method.getattr("__name__")?.cast::<PyString>()?, &method)
}

/// What Python calls.
unsafe extern "C" fn entry<M: Method>(
    object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls with the interpreter, for as long as this call lasts.
    let py = unsafe { Python::assume_attached() };
    if !rt::is_observed()
        // SAFETY: these are the arguments of this call.
        && let Some(args) = unsafe { arguments::<M>(py, args, count, names) }
    {
        // SAFETY: the object lives during the call, and the method is one of its class: Python checks that.
        let this = unsafe { Borrowed::from_ptr(py, object).cast_unchecked::<M::Class>() };
        match M::call(py, this.get(), args) {
            Answer::Returned(value) => return value.into_ptr(),
            Answer::Raised(class) => {
                ending::protect_thread(); // the exception is allocated, which can collect garbage
                // SAFETY: the thread is attached, and the class is an exception's.
                unsafe { ffi::PyErr_SetNone(class.as_ptr()) };
                return null_mut();
            }
            Answer::Declined => {}
        }
    }
    // SAFETY: these are the arguments of this call.
    unsafe { complete::<M>(py, object, args, count, names) }
}

/// The arguments of a call, if all are positional, or named by strings that are interned.
///
/// # Safety
/// The arguments are those that Python passes to a function of the kind `METH_FASTCALL | METH_KEYWORDS`.
#[inline]
unsafe fn arguments<'a, M: Method>(
    py: Python<'_>,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> Option<Arguments<'a, '_>> {
    let count = usize::try_from(count).ok().filter(|&count| count <= MOST)?;
    let mut values = [None; MOST];
    for (index, value) in values.iter_mut().enumerate().take(count) {
        // SAFETY: there are `count` positional arguments.
        *value = Some(unsafe { Borrowed::from_ptr(py, *args.add(index)) });
    }
    if !names.is_null() {
        // SAFETY: the names are a tuple.
        let names = unsafe { Borrowed::from_ptr(py, names).cast_unchecked::<PyTuple>() };
        for (index, name) in names.iter_borrowed().enumerate() {
            let position = M::KEPT.names.iter().position(|kept| kept.load(Acquire) == name.as_ptr())?;
            if values[position].is_some() {
                return None;
            }
            // SAFETY: the named arguments follow the positional ones.
            values[position] = Some(unsafe { Borrowed::from_ptr(py, *args.add(count + index)) });
        }
    }
    Some(Arguments { py, values })
}

/// Calls the method of PyO3.
///
/// # Safety
/// As for [`arguments`].
#[cold]
unsafe fn complete<M: Method>(
    py: Python<'_>,
    object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    ending::protect_thread();
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: the object and the arguments live during the call, and the named ones follow the positional ones.
    let value = |index| unsafe { Borrowed::from_ptr(py, *args.add(index)) };
    // SAFETY: the object lives during the call.
    let object = unsafe { Borrowed::from_ptr(py, object) };
    let collected = (|| {
        let positional: Vec<_> = std::iter::once(object).chain((0..count).map(value)).collect();
        let positional = PyTuple::new(py, positional)?;
        if names.is_null() {
            return Ok((positional, None));
        }
        let by_name = PyDict::new(py);
        // SAFETY: the names are a tuple.
        let names = unsafe { Borrowed::from_ptr(py, names).cast_unchecked::<PyTuple>() };
        for (index, name) in names.iter_borrowed().enumerate() {
            by_name.set_item(name, value(count + index))?;
        }
        PyResult::Ok((positional, Some(by_name)))
    })();
    match collected {
        Ok((positional, by_name)) => {
            let by_name = by_name.as_ref().map_or(null_mut(), Bound::as_ptr);
            // SAFETY: the method was kept when this function was added, and lives as long as the process.
            unsafe { ffi::PyObject_Call(M::KEPT.complete.load(Acquire), positional.as_ptr(), by_name) }
        }
        Err(error) => {
            error.restore(py);
            null_mut()
        }
    }
}

/// Defines a frequent method.
macro_rules! method {
    ($name:ident, $class:ty, $python:literal, $signature:literal, |$py:ident, $object:ident, $args:pat_param| $call:expr) => {
        pub(crate) struct $name;

        impl $crate::fast::Method for $name {
            type Class = $class;
            const NAME: &'static std::ffi::CStr = $python;
            const SIGNATURE: &'static str = $signature;
            const KEPT: &'static $crate::fast::Kept = {
                static KEPT: $crate::fast::Kept = $crate::fast::Kept::new();
                &KEPT
            };

            #[inline]
            fn call<'py>(
                $py: pyo3::Python<'py>,
                $object: &$class,
                $args: $crate::fast::Arguments<'_, 'py>,
            ) -> $crate::fast::Answer<'py> {
                $call
            }
        }
    };
}

pub(crate) use method;
