//! The end of each command's help and manual page: examples and exit codes.

use std::fmt::Write as _;

/// An exit code and what it means.
type Exit = (u8, &'static str);

const DONE: Exit = (0, "done");
const FAILED: Exit = (1, "failed");
const USAGE: Exit = (2, "usage or configuration error; nothing was changed");
const TOOL: Exit = (3, "a tool is missing, or the container engine is not running");
const PARTIAL: Exit = (4, "partly done: some images could not be loaded");
const TIMED_OUT: Exit = (5, "timed out");
const INTERRUPTED: Exit = (130, "interrupted");

/// A command's help besides its arguments.
#[derive(Debug)]
pub struct Help {
    /// The command's words; empty for the program itself.
    pub words: &'static [&'static str],
    /// A note, if needed.
    pub note: Option<&'static str>,
    /// Example command lines.
    pub examples: &'static [&'static str],
    /// Possible exit codes.
    pub exits: &'static [Exit],
}

impl Help {
    /// The help for the command `words`.
    pub fn of(words: &[&str]) -> Option<&'static Self> {
        ALL.iter().find(|help| help.words == words)
    }

    /// The text after the arguments.
    fn text(&self) -> String {
        let mut text = self.note.map(|note| format!("{note}\n\n")).unwrap_or_default();
        text.push_str("Examples:\n");
        for example in self.examples {
            _ = writeln!(text, "  {example}");
        }
        text.push_str("\nExit codes:");
        for (code, meaning) in self.exits {
            _ = write!(text, "\n  {code:<3}  {meaning}");
        }
        text
    }
}

/// The text after the arguments of the command `words`.
pub(super) fn after(words: &[&str]) -> String {
    Help::of(words).map(Help::text).unwrap_or_default()
}

const ALL: &[Help] = &[
    Help {
        words: &[],
        note: None,
        examples: &[
            "milvusctl up",
            "milvusctl up --small",
            "milvusctl load-missing-images --name kind --watch",
        ],
        exits: &[DONE, FAILED, USAGE, TOOL, PARTIAL, TIMED_OUT, INTERRUPTED],
    },
    Help {
        words: &["up"],
        note: None,
        examples: &[
            "milvusctl up",
            "milvusctl up --small --timeout 10m",
            "milvusctl up --workers 1 --mirror docker.io=m.daocloud.io/docker.io",
            "milvusctl up --dry-run > up.sh",
        ],
        exits: &[
            (0, "Milvus is up"),
            (1, "a step failed; nothing was rolled back, rerun to resume"),
            USAGE,
            TOOL,
            (4, "partly done: pods lack an image that could not be loaded"),
            (5, "Milvus was not healthy in time"),
            INTERRUPTED,
        ],
    },
    Help {
        words: &["down"],
        note: None,
        examples: &[
            "milvusctl down",
            "milvusctl down --name milvus-ci --yes",
            "milvusctl down --context my-cluster --delete-data",
        ],
        exits: &[
            (0, "deleted, or there was nothing to delete"),
            (1, "failed or declined"),
            (2, "usage error, or no terminal to confirm on and no --yes"),
            TOOL,
            INTERRUPTED,
        ],
    },
    Help {
        words: &["status"],
        note: None,
        examples: &[
            "milvusctl status",
            "milvusctl status --watch",
            "milvusctl status -o json | jq .milvus.status",
        ],
        exits: &[
            (0, "the status was shown, whatever it is"),
            (1, "the cluster cannot be reached"),
            USAGE,
            TOOL,
            INTERRUPTED,
        ],
    },
    Help {
        words: &["load-missing-images"],
        note: None,
        examples: &[
            "milvusctl load-missing-images",
            "milvusctl load-missing-images -n default --watch --timeout 10m",
            "milvusctl load-missing-images --name kind --mirror docker.io=127.0.0.1:5000",
        ],
        exits: &[
            (0, "no image is missing"),
            (1, "the cluster cannot be reached"),
            USAGE,
            TOOL,
            PARTIAL,
            (5, "with --watch: pods are still not running"),
            INTERRUPTED,
        ],
    },
    Help {
        words: &["images"],
        note: None,
        examples: &[
            "milvusctl images plan",
            "milvusctl images list --missing",
            "milvusctl images load busybox:1.36",
            "milvusctl images save -o milvus.tar.zst",
        ],
        exits: &[DONE, FAILED, USAGE, TOOL, PARTIAL, INTERRUPTED],
    },
    Help {
        words: &["images", "list"],
        note: None,
        examples: &[
            "milvusctl images list",
            "milvusctl images list --missing -n default",
            "milvusctl images list -o json",
        ],
        exits: &[DONE, (1, "the cluster cannot be reached"), USAGE, TOOL, INTERRUPTED],
    },
    Help {
        words: &["images", "load"],
        note: None,
        examples: &[
            "milvusctl images load busybox:1.36 quay.io/coreos/etcd:v3.5.0",
            "milvusctl images load -i images.tar.gz",
            "milvusctl images load -i milvus.tar.zst",
            "docker save busybox:1.36 | milvusctl images load -i -",
        ],
        exits: &[(0, "each image is on its nodes"), FAILED, USAGE, TOOL, PARTIAL, INTERRUPTED],
    },
    Help {
        words: &["images", "save"],
        note: Some(
            "Without names, saves everything `up` needs with the same flags: node image, images, the operator's chart, \
             kind, helm and kubectl. `docker load` and `ctr images import` read the file too; Docker 20.10 and containerd \
             1.6 only read a `.tar`.",
        ),
        examples: &[
            "milvusctl images save -o milvus.tar.zst",
            "milvusctl images save --small -o milvus.tar.zst",
            "milvusctl images save --platform linux/arm64 -o milvus-arm64.tar.zst",
            "milvusctl images save -o two.tar busybox:1.36 quay.io/coreos/etcd:v3.5.0",
        ],
        exits: &[DONE, (1, "something could not be fetched or written"), USAGE, TOOL, INTERRUPTED],
    },
    Help {
        words: &["images", "prune"],
        note: None,
        examples: &[
            "milvusctl images prune --older-than 30d",
            "milvusctl images prune --keep 10GiB",
            "milvusctl images prune --all",
        ],
        exits: &[DONE, (1, "the store cannot be changed, or another run uses it"), USAGE],
    },
    Help {
        words: &["images", "plan"],
        note: None,
        examples: &[
            "milvusctl images plan",
            "milvusctl images plan --small",
            "milvusctl images plan --operator-version 1.1.4 -o json",
        ],
        exits: &[DONE, USAGE],
    },
    Help {
        words: &["images", "explain"],
        note: None,
        examples: &[
            "milvusctl images explain busybox",
            "milvusctl images explain milvusdb/milvus:v2.6.11 --mirror-preset daocloud",
        ],
        exits: &[DONE, (2, "usage or configuration error, or an invalid image name")],
    },
    Help {
        words: &["expose"],
        note: None,
        examples: &[
            "milvusctl expose --nodeport 31000",
            "milvusctl expose milvus --nodeport 31530",
            "milvusctl expose svc/default/my-service --nodeport 32000",
        ],
        exits: &[
            (0, "the URL answers"),
            (1, "not exposed, or the URL does not answer"),
            (2, "usage or configuration error, or the port is taken; nothing was changed"),
            TOOL,
            (5, "no pod became ready in time"),
            INTERRUPTED,
        ],
    },
    Help {
        words: &["forward"],
        note: None,
        examples: &[
            "milvusctl forward",
            "milvusctl forward attu --port 8080",
            "milvusctl forward svc/default/my-service --port 0 -o json",
        ],
        exits: &[
            FAILED,
            (2, "usage or configuration error, or the address is not available"),
            TOOL,
            (5, "no pod became ready in time"),
            (130, "interrupted, the normal way to end"),
        ],
    },
    Help {
        words: &["smoke"],
        note: Some(
            "Credentials come from the environment: MILVUSCTL_TOKEN, or MILVUSCTL_USER and MILVUSCTL_PASSWORD.",
        ),
        examples: &[
            "milvusctl smoke",
            "milvusctl smoke --uri http://127.0.0.1:19530 --rows 5000 --index HNSW --metric L2",
            "milvusctl smoke --consistency eventually -o json",
        ],
        exits: &[
            (0, "every answer was correct"),
            (1, "a step failed, or an answer was wrong"),
            USAGE,
            TOOL,
            TIMED_OUT,
            INTERRUPTED,
        ],
    },
    Help {
        words: &["render"],
        note: None,
        examples: &[
            "milvusctl render cluster | kind create cluster --config -",
            "milvusctl render milvus --mode standalone",
            "milvusctl render config --workers 1",
        ],
        exits: &[DONE, USAGE],
    },
    Help {
        words: &["doctor"],
        note: None,
        examples: &["milvusctl doctor", "milvusctl doctor --fix", "milvusctl doctor -o json"],
        exits: &[
            (0, "ready"),
            (1, "a problem was found"),
            (2, "usage or configuration error, or a port is taken"),
            TOOL,
            INTERRUPTED,
        ],
    },
    Help {
        words: &["diagnose"],
        note: None,
        examples: &[
            "milvusctl diagnose -o diagnosis.tar.gz",
            "milvusctl diagnose --name milvus-ci -o ci-logs.tar.gz --force",
        ],
        exits: &[
            (0, "written; it lists what could not be collected"),
            FAILED,
            (2, "usage or configuration error, or the file cannot be written"),
            INTERRUPTED,
        ],
    },
    Help {
        words: &["completions"],
        note: Some(
            "Completes commands, flags, and live names of clusters, contexts, namespaces, Services and images. \
             Regenerate it after upgrading.",
        ),
        examples: &[
            "source <(milvusctl completions bash)",
            "milvusctl completions bash > ~/.local/share/bash-completion/completions/milvusctl",
            "milvusctl completions zsh > ~/.zfunc/_milvusctl",
            "milvusctl completions fish > ~/.config/fish/completions/milvusctl.fish",
        ],
        exits: &[DONE, (2, "usage error")],
    },
    Help {
        words: &["man"],
        note: None,
        examples: &[
            "milvusctl man | man -l -",
            "milvusctl man images load | man -l -",
            "milvusctl man --dir ~/.local/share/man/man1",
        ],
        exits: &[DONE, (1, "a page could not be written"), (2, "usage error, or no such command")],
    },
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn commands(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        found.push(words.to_vec());
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let words: Vec<_> = words.iter().cloned().chain([inner.get_name().to_owned()]).collect();
            commands(inner, &words, found);
        }
    }

    #[test]
    fn every_command_has_examples_and_exit_codes() {
        let mut found = Vec::new();
        commands(&crate::cli::Cli::command(), &[], &mut found);
        for words in found {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let help = Help::of(&words).unwrap_or_else(|| panic!("nothing about {words:?}"));
            assert!(help.examples.len() >= 2, "{words:?}");
            let line = ["milvusctl"].into_iter().chain(words.iter().copied()).collect::<Vec<_>>().join(" ");
            let is_shown = help.examples.iter().any(|example| example.contains(&line));
            assert!(is_shown, "{line}: {:?}", help.examples);
            assert!(help.exits.iter().any(|(code, _)| *code == 2), "{line}");
        }
    }
}
