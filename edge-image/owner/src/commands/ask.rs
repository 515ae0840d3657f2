//! Asks the owner on the terminal.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use anyhow::{Context as _, ensure};

/// Asks on the terminal; without one, `flag` is what is missing.
pub(super) fn ask(question: &str, flag: &str) -> anyhow::Result<String> {
    ensure!(io::stdin().is_terminal(), "missing: {flag}");
    eprint!("{question}: ");
    io::stderr().flush()?;
    answer(io::stdin().lock())
}

/// A line without its end: names and passwords may begin or end with spaces. One that is broken off is no answer.
fn answer(mut input: impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line).context("the answer cannot be read")?;
    let answer = line.strip_suffix('\n').context("there was no answer, so nothing was done")?;
    Ok(answer.strip_suffix('\r').unwrap_or(answer).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_whole_line_as_it_was_typed() {
        let answer = |typed: &str| answer(typed.as_bytes()).ok();
        assert_eq!(answer(" my net \n").as_deref(), Some(" my net "));
        assert_eq!(answer("windows\r\n").as_deref(), Some("windows"));
        assert_eq!(answer("\nlater\n").as_deref(), Some(""));
        assert_eq!((answer(""), answer("half an ans")), (None, None));
    }
}
