/* SPDX-License-Identifier: Apache-2.0
 * The runtimes that `braid bench model` compares with, each a process of its own, Braid included: started afresh, fed
 * by lines, told apart by nothing else (bench/peers/README.md has the protocol). */
#ifndef BRAID_CLI_BENCH_PEERS_H
#define BRAID_CLI_BENCH_PEERS_H

#include "child.h"
#include "tempdir.h"

/* A script of bench/peers, embedded by CMake. */
struct peer_script {
  const char *file; /* "onnxruntime.js" */
  const unsigned char *text;
  size_t bytes;
};
extern const struct peer_script peer_scripts[];
extern const int n_peer_scripts;

enum { PEERS_MAX = 8 };
struct peer {
  char name[32], version[64];
  char program[512]; /* interpreter */
  char script[192];  /* where it has been written; "" for Braid, whose program is itself */
  const char *precision; /* Braid once more, in this one; NULL: not that */
};

struct peers {
  int n;
  struct peer peer[PEERS_MAX]; /* peer[0] is Braid */
  json_t *missing;             /* [{name,install}] */
  const char *peer_dir;        /* --peer-dir; may be NULL */
};
/* Finds those that `list` ("auto", "none", or names with commas) names. A missing one is said on standard error in one
 * line, with what to install. `dir`: the temporary folder for the scripts. CLI_DONE, or an exit status after saying
 * why. */
/* `precision`: "fp32", or a lower one, in which Braid takes part once more. */
int peers_open(const char *list, const char *precision, const char *peer_dir, const char *dir, struct peers *out);
void peers_close(struct peers *peers);

/* Starts a peer on a manifest and waits for its first inference. *load_ns: from the start of the process until then;
 * *first_ns: of that the inference, as the process has measured it. */
BRAID_NODISCARD enum braid_status peer_start(const struct peers *peers, int i, const char *manifest, const char *log,
                                             struct child *child, int64_t *load_ns, int64_t *first_ns);
/* One inference; *ns as the process itself has measured it. */
BRAID_NODISCARD enum braid_status peer_run(struct child *child, const char *log, int64_t *ns);
/* Has the last results written to the manifest's files. */
BRAID_NODISCARD enum braid_status peer_write(struct child *child, const char *log);
/* The largest memory that the process has had resident; 0 where the system does not say. */
size_t peer_peak_rss_bytes(const struct child *child);

/* `braid bench model-child MANIFEST`: Braid's own end of the protocol. An exit status. */
int bench_model_child(const char *manifest);

#endif
