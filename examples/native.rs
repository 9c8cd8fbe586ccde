//! Links the host commands statically: no WASM, no engine, for a debugger or a program that wants one function of an HSM.

use hsm_core::{SecurityModule, Session};

fn main() {
    let mut session = Session::new(SecurityModule::with_test_lmks());
    for command in hsm_plugins::COMMANDS {
        let [first, second] = command.code.map(char::from);
        println!("{first}{second}  {}", command.title);
    }
    let body = b"U9B4934384B19946B040CD702B4D581454123456789012345;8701101";
    if let Some(cw) = hsm_plugins::COMMANDS.iter().find(|command| command.code == *b"CW") {
        session.begin(cw.code, None);
        let response = cw.respond(body, &mut session, false);
        println!("CW -> CX{}", response.escape_ascii());
    }
}
