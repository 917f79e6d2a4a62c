/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_peers.h"

#include "io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t patience_ns = (int64_t)600 * 1000000000; /* the largest networks on the slowest devices */

static const struct runtime {
  const char *name, *script, *interpreter, *install;
} runtimes[] = {
    {"onnxruntime", "onnxruntime.js", "node",
     "nodejs and its npm package onnxruntime-node (found by NODE_PATH or --peer-dir)"},
    {"opencv", "opencv.py", "python3", "python3-opencv"},
    {"pytorch", "pytorch.py", "python3", "python3-torch and python3-onnx (which reads the file)"},
};

/* ---------------------------------------------------------------------------------------------- finding them */

/* The n-th program of that name on the PATH (there may be several Pythons, not all with the module). */
static bool on_path(const char *name, int n, char *buf, size_t size) {
  const char *path = getenv("PATH");
  while (path && *path) {
    size_t length = strcspn(path, ":");
    if (length > 0 && snprintf(buf, size, "%.*s/%s", (int)length, path, name) < (int)size && access(buf, X_OK) == 0 &&
        n-- == 0)
      return true;
    path += length + (path[length] == ':');
  }
  return false;
}

/* All of them: some are made of two. */
static enum braid_status write_scripts(const char *dir) {
  char path[192];
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < n_peer_scripts && status == BRAID_OK; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, peer_scripts[i].file);
    status = io_write_file(path, peer_scripts[i].text, peer_scripts[i].bytes);
  }
  return status;
}

/* Asks the script for the runtime's version; false when the runtime does not load. */
static bool ask_version(struct peer *p, const char *peer_dir, const char *dir) {
  char log[192], line[128];
  struct child child;
  const char *const argv[] = {p->program, p->script, "--version", peer_dir, NULL};
  snprintf(log, sizeof log, "%s/version.log", dir);
  if (child_start(p->name, argv, -1, log, &child) != BRAID_OK) return false;
  bool said = child_line(&child, patience_ns, line, sizeof line) == BRAID_OK && strncmp(line, "version ", 8) == 0;
  if (said) snprintf(p->version, sizeof p->version, "%s", line + 8);
  if (said) child_wait(&child);
  child_stop(&child);
  return said;
}

static int find(const struct runtime *r, const char *dir, struct peers *peers) {
  struct peer p = {0};
  snprintf(p.name, sizeof p.name, "%s", r->name);
  snprintf(p.script, sizeof p.script, "%s/%s", dir, r->script);
  for (int i = 0; on_path(r->interpreter, i, p.program, sizeof p.program) && !cli_interrupted(); i++)
    if (ask_version(&p, peers->peer_dir, dir)) {
      peers->peer[peers->n++] = p;
      return CLI_DONE;
    }
  if (cli_interrupted()) return CLI_INTERRUPTED;
  fprintf(stderr, "braid: %s is not here; to compare with it, install %s\n", r->name, r->install);
  json_array_append_new(peers->missing, json_pack("{s:s, s:s}", "name", r->name, "install", r->install));
  return CLI_DONE;
}

/* Is `name` one of a list with commas? */
static bool listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
    if (strcspn(at, ",") == n && strncmp(at, name, n) == 0) return true;
  return false;
}

static int check_list(const char *list) {
  for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
    bool known = false;
    int n = (int)strcspn(at, ",");
    for (int i = 0; i < CLI_COUNT_OF(runtimes); i++)
      known |= (int)strlen(runtimes[i].name) == n && strncmp(runtimes[i].name, at, (size_t)n) == 0;
    if (!known)
      return cli_usage(
          "bench model: --peers: '%.*s' is none of auto, none, onnxruntime, opencv, pytorch (several with commas)", n,
          at);
  }
  return CLI_DONE;
}

static int find_braid(struct peer *p) {
  *p = (struct peer){.name = "braid", .version = BRAID_VERSION};
  ssize_t n = readlink("/proc/self/exe", p->program, sizeof p->program - 1);
  if (n > 0) return CLI_DONE;
  fprintf(stderr, "braid: /proc/self/exe: %s\n", strerror(errno));
  return CLI_FAILED;
}

/* Braid is the first, in fp32, and what the others are compared with. */
static void add_precision(struct peers *peers, const char *precision) {
  struct peer p = peers->peer[0];
  snprintf(p.name, sizeof p.name, "braid-%s", precision);
  p.precision = precision;
  peers->peer[peers->n++] = p;
}

int peers_open(const char *list, const char *precision, const char *peer_dir, const char *dir, struct peers *out) {
  bool all = strcmp(list, "auto") == 0, none = strcmp(list, "none") == 0;
  int exit = all || none ? CLI_DONE : check_list(list);
  *out = (struct peers){.n = 1, .peer_dir = peer_dir, .missing = json_array()};
  if (exit == CLI_DONE) exit = find_braid(&out->peer[0]);
  if (exit == CLI_DONE && strcmp(precision, "fp32") != 0) add_precision(out, precision);
  if (exit == CLI_DONE && write_scripts(dir) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  for (int i = 0; i < CLI_COUNT_OF(runtimes) && exit == CLI_DONE && !none; i++)
    if (all || listed(list, runtimes[i].name)) exit = find(&runtimes[i], dir, out);
  return exit;
}

void peers_close(struct peers *peers) {
  json_decref(peers->missing);
  peers->missing = NULL;
}

/* ------------------------------------------------------------------------------------------------- talking */

/* What it said on standard error: the last line that speaks of an error (Python's and OpenCV's have more below), else
 * the last of all. NULL where it said nothing. */
static const char *last_words(char *text) {
  const char *error = NULL, *last = NULL;
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    last = line;
    if (strstr(line, "rror")) error = line;
  }
  return error ? error : last;
}

static enum braid_status with_log(enum braid_status status, const char *log) {
  uint8_t *bytes;
  size_t size;
  if (io_read_file(log, (size_t)1 << 24, &bytes, &size) != BRAID_OK) return status;
  char *text = braid_calloc(size + 1, 1);
  if (text) memcpy(text, bytes, size);
  const char *words = text ? last_words(text) : NULL;
  if (words) status = braid_fail(status, "it ended early: %.300s", words);
  braid_free(text);
  braid_free(bytes);
  return status;
}

static enum braid_status await(struct child *child, const char *log, const char *word, int64_t *ns) {
  char line[128];
  size_t n = strlen(word);
  enum braid_status status = child_line(child, patience_ns, line, sizeof line);
  if (status != BRAID_OK) return status == BRAID_ECLOSED && !cli_interrupted() ? with_log(status, log) : status;
  if (strncmp(line, word, n) != 0) return braid_fail(BRAID_EPROTO, "it says '%.60s', not '%s'", line, word);
  if (ns) *ns = strtoll(line + n, NULL, 10);
  return BRAID_OK;
}

static enum braid_status command(struct child *child, const char *log, const char *line, const char *answer,
                                 int64_t *ns) {
  ssize_t n = (ssize_t)strlen(line);
  if (write(child->to, line, (size_t)n) != n) return with_log(braid_fail(BRAID_ECLOSED, "it has ended"), log);
  return await(child, log, answer, ns);
}

enum braid_status peer_start(const struct peers *peers, int i, const char *manifest, const char *log,
                             struct child *child, int64_t *load_ns, int64_t *first_ns) {
  const struct peer *p = &peers->peer[i];
  const char *const scripted[] = {p->program, p->script, manifest, peers->peer_dir, NULL};
  const char *const own[] = {p->program, "bench", "model-child", manifest, NULL};
  int64_t begin = cli_now_ns();
  BRAID_TRY(child_start(p->name, *p->script ? scripted : own, -1, log, child));
  enum braid_status status = await(child, log, "first ", first_ns);
  *load_ns = cli_now_ns() - begin;
  if (status != BRAID_OK) child_stop(child);
  return status;
}

enum braid_status peer_run(struct child *child, const char *log, int64_t *ns) {
  BRAID_TRY(command(child, log, "run\n", "ns ", ns));
  return *ns > 0 ? BRAID_OK : braid_fail(BRAID_EPROTO, "it says that a run took no time");
}

enum braid_status peer_write(struct child *child, const char *log) {
  return command(child, log, "write\n", "written", NULL);
}

size_t peer_peak_rss_bytes(const struct child *child) {
  char path[64], line[256];
  size_t kib = 0;
  snprintf(path, sizeof path, "/proc/%ld/status", (long)child->pid);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoul(line + 6, NULL, 10);
  if (f) fclose(f);
  return kib * 1024;
}
