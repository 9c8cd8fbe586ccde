//! How the arguments and results of a host operation cross the boundary between guest and host.
//!
//! Integers are little-endian, byte strings carry a 32-bit length, tuples are their parts in order. Both sides are compiled
//! from this file, so there is nothing to keep in step.

/// A value that can cross the boundary.
pub trait Wire<'a>: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads the value; `None` if the bytes end early or mean nothing.
    fn get(from: &mut Reader<'a>) -> Option<Self>;
}

/// A cursor over received bytes.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether every byte was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl Wire<'_> for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn get(from: &mut Reader<'_>) -> Option<Self> {
                from.take(size_of::<$ty>())?.try_into().ok().map(<$ty>::from_le_bytes)
            }
        }
    )*};
}
integers!(u8, u16, u32, u64);

impl Wire<'_> for () {
    fn put(&self, _: &mut Vec<u8>) {}
    fn get(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Wire<'_> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        match u8::get(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<'a> Wire<'a> for &'a [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        // A message is at most 32 KiB; anything longer than 32 bits cannot exist in a guest.
        (self.len() as u32).put(out);
        out.extend_from_slice(self);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        let len = u32::get(from)? as usize;
        from.take(len)
    }
}

impl<'a> Wire<'a> for &'a str {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().put(out);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        core::str::from_utf8(<&[u8]>::get(from)?).ok()
    }
}

impl Wire<'_> for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_slice().put(out);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        <&[u8]>::get(from).map(<[u8]>::to_vec)
    }
}

impl<const N: usize> Wire<'_> for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        from.take(N)?.try_into().ok()
    }
}

impl<'a, T: Wire<'a>> Wire<'a> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        if bool::get(from)? { T::get(from).map(Some) } else { Some(None) }
    }
}

/// Implements [`Wire`] for structs: their fields in the order named.
macro_rules! structs {
    ($($ty:ty { $($field:ident),* })*) => {$(
        impl<'a> $crate::abi::wire::Wire<'a> for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::abi::wire::Wire::put(&self.$field, out);)*
            }
            fn get(from: &mut $crate::abi::wire::Reader<'a>) -> Option<Self> {
                Some(Self { $($field: $crate::abi::wire::Wire::get(from)?),* })
            }
        }
    )*};
}
pub(super) use structs;

macro_rules! tuples {
    ($($part:ident)*) => {
        impl<'a, $($part: Wire<'a>),*> Wire<'a> for ($($part,)*) {
            #[allow(non_snake_case, reason = "the type parameters name the parts")]
            fn put(&self, out: &mut Vec<u8>) {
                let ($($part,)*) = self;
                $($part.put(out);)*
            }
            fn get(from: &mut Reader<'a>) -> Option<Self> {
                Some(($($part::get(from)?,)*))
            }
        }
    };
}
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
