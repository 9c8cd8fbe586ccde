//! Key fields: the command's reader and the security module's parser see the same field.

use crate::requests::module;
use hsm_core::Session;
use hsm_core::scheme::{KeyField, KeyFieldError, Untagged};
use hsm_plugin_sdk::{Command, ErrorCode, Hsm, KeyPurpose, Request, Response, Result};

const SINGLE: Command = Command { code: *b"Z0", title: "Read a key field", run: single };
const DOUBLE: Command = Command { code: *b"Z2", title: "Read a key field", run: double };

fn single<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = req.key("Key", KeyPurpose::ZPK)?;
    Ok(length(hsm, key.bytes()))
}

fn double<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = req.double_key("Key", KeyPurpose::ZPK)?;
    Ok(length(hsm, key.bytes()))
}

fn length<'h>(hsm: &Hsm<'h>, field: &[u8]) -> Response<'h> {
    let mut resp = hsm.response();
    resp.number("Length", field.len(), 5);
    resp
}

/// Whether an untagged key is of double length (odd) or single length (even), and a key field with anything behind it.
pub fn key_field(data: &[u8]) {
    let Some((choice, input)) = data.split_first() else { return };
    let (untagged, command) = if choice & 1 == 0 { (Untagged::Single, SINGLE) } else { (Untagged::Double, DOUBLE) };

    let mut session = Session::new(module(false));
    session.begin(command.code, None);
    let read = command.respond(input, &mut session, false);
    let (code, read) = read.split_at(2);

    // Two references into user storage are one key to the reader and two fields to the parser.
    if untagged == Untagged::Double && input.first() == Some(&b'K') && input.get(4) == Some(&b'K') {
        let halves = [input.get(..4), input.get(4..8)].into_iter().flatten();
        let good = halves.filter(|half| KeyField::parse(half, Untagged::Single).is_ok()).count();
        assert_eq!(is_of_storage(code), good == 2, "reader and parser differ on two references");
        return;
    }
    match KeyField::parse(input, untagged) {
        Ok((field, len)) => {
            assert!(len <= input.len());
            assert_eq!(KeyField::parse(&input[..len], untagged), Ok((field, len)), "what follows a field changes it");
            if matches!(field, KeyField::Stored { .. }) {
                assert!(is_of_storage(code), "a reference is refused as if it were none");
                return;
            }
            assert_eq!(code, ErrorCode::OK.as_bytes(), "a field that the module takes is refused");
            assert_eq!(read, format!("{len:05}").as_bytes(), "reader and parser differ on the length");
        }
        // The reader leaves blocks whose length is below a header's to the module, which refuses them.
        Err(KeyFieldError::BlockLength) => {}
        Err(error) => assert_eq!(code, error.code().as_bytes(), "reader and parser differ: {error}"),
    }
}

/// Whether a code is what the reader finds at a reference into user storage, which is empty here: nothing, or no such index.
fn is_of_storage(code: &[u8]) -> bool {
    [ErrorCode::USER_STORAGE_EMPTY, ErrorCode::INDEX].iter().any(|expected| code == expected.as_bytes())
}
