//! The result of a load, for people and for scripts.

use super::Args;
use super::histogram::Histogram;
use super::load::{Plan, Tally};
use crate::output;
use serde_json::{Value, json};

/// What was asked for and what came of it.
pub(super) struct Report<'a> {
    pub(super) args: &'a Args,
    pub(super) plan: &'a Plan,
    pub(super) tally: &'a Tally,
}

impl Report<'_> {
    fn rate(&self, answers: u64) -> f64 {
        let seconds = self.tally.elapsed.as_secs_f64();
        if seconds > 0.0 { answers as f64 / seconds } else { 0.0 }
    }

    fn all(&self) -> Histogram {
        self.tally.messages.iter().fold(Histogram::default(), |mut all, message| {
            all.add(&message.latency);
            all
        })
    }

    pub(super) fn text(&self) -> String {
        let (args, tally) = (self.args, self.tally);
        let mut rows = vec![self.row("all", &self.all(), tally.mismatches())];
        if tally.messages.len() > 1 {
            for (message, tally) in self.plan.messages.iter().zip(&tally.messages) {
                rows.push(self.row(&message.name, &tally.latency, tally.mismatches));
            }
        }
        let head = ["COMMAND", "ANSWERS", "PER SECOND", "MEAN us", "P50", "P90", "P99", "P99.9", "MAX", "WRONG"];
        format!(
            "{}:{}, {} connections, {} outstanding each, {} threads, {:.2} s\n\n{}\nwrong {}, lost {}, connections lost {}\n",
            args.target.host,
            args.target.port,
            args.connections,
            args.pipeline,
            args.threads,
            tally.elapsed.as_secs_f64(),
            output::table(head, &rows),
            tally.mismatches(),
            tally.lost,
            tally.disconnects,
        )
    }

    fn row(&self, name: &str, latency: &Histogram, mismatches: u64) -> [String; 10] {
        let micros = |value: f64| format!("{value:.1}");
        [
            name.to_owned(),
            latency.count().to_string(),
            format!("{:.0}", self.rate(latency.count())),
            micros(latency.mean()),
            micros(latency.quantile(0.5)),
            micros(latency.quantile(0.9)),
            micros(latency.quantile(0.99)),
            micros(latency.quantile(0.999)),
            micros(latency.max()),
            mismatches.to_string(),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let (args, tally) = (self.args, self.tally);
        let all = self.all();
        let commands: Vec<Value> = self
            .plan
            .messages
            .iter()
            .zip(&tally.messages)
            .map(|(message, tally)| {
                json!({
                    "command": message.name,
                    "answers": tally.latency.count(),
                    "per_second": rounded(self.rate(tally.latency.count())),
                    "latency_us": latency(&tally.latency),
                    "mismatches": tally.mismatches,
                })
            })
            .collect();
        json!({
            "host": args.target.host,
            "port": args.target.port,
            "connections": args.connections,
            "pipeline": args.pipeline,
            "threads": args.threads,
            "seconds": rounded(tally.elapsed.as_secs_f64()),
            "answers": all.count(),
            "per_second": rounded(self.rate(all.count())),
            "latency_us": latency(&all),
            "mismatches": tally.mismatches(),
            "lost": tally.lost,
            "disconnects": tally.disconnects,
            "commands": commands,
        })
    }
}

fn latency(histogram: &Histogram) -> Value {
    json!({
        "mean": rounded(histogram.mean()),
        "p50": rounded(histogram.quantile(0.5)),
        "p90": rounded(histogram.quantile(0.9)),
        "p99": rounded(histogram.quantile(0.99)),
        "p99_9": rounded(histogram.quantile(0.999)),
        "max": rounded(histogram.max()),
    })
}

/// Three digits behind the point are more than is true.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
