# Lists the recipes.
default:
    @just --list

# Tests that need no Docker.
test:
    cargo test

# Tests on real clusters.
e2e:
    cargo test --test e2e -- --ignored --nocapture

# Formatting, clippy, documentation and tests, as CI does.
ci:
    .ci/run

# Writes help texts and rendered documents of the tests anew.
snapshots:
    UPDATE_SNAPSHOTS=1 cargo test --test cli
