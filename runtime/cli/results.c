/* SPDX-License-Identifier: Apache-2.0
 * Results left in the cloud, as files or lines.
 *
 * File names are made of the frame's name (hexadecimal digits and a number, checked when they came) and the output's
 * number: what edges and models call things is only ever written into JSON. The index is the consumer's list: a frame
 * is in it when its files are complete, and not before. */
#include "results.h"

#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct results {
  const char *folder; /* NULL: standard output */
  int index;          /* file descriptor of results.jsonl; -1 */
  int top;
  size_t spare_bytes; /* of the disk */
};

static enum braid_status fail(const char *path) {
  return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
}

/* ---------------------------------------------------------------------------------------------------- lines */

/* What both kinds of lines begin with. */
static json_t *begin_line(const struct braid_result *r) {
  char id[BRAID_RESULT_ID_BYTES];
  braid_result_id(r->run, r->frame, id);
  return json_pack("{s:s, s:s, s:s, s:I, s:i}", "id", id, "edge", r->edge, "model", r->model, "frame",
                   (json_int_t)r->frame, "epoch", (int)r->epoch);
}

static enum braid_status print_line(const struct results *results, const struct braid_result *r) {
  static const struct cli_labels none;
  json_t *line = begin_line(r);
  if (line) json_object_set_new(line, "top", r->n_out > 0 ? cli_top(&r->out[0], 0, results->top, &none) : json_array());
  if (cli_print_json(line) == CLI_DONE) return BRAID_OK;
  clearerr(stdout);
  return braid_fail(BRAID_EIO, "standard output takes no more lines");
}

/* ---------------------------------------------------------------------------------------------------- files */

enum { PATH_BYTES = 4096 };

static enum braid_status path_of(const struct results *results, const struct braid_result *r, int i,
                                 char path[PATH_BYTES]) {
  char id[BRAID_RESULT_ID_BYTES];
  braid_result_id(r->run, r->frame, id);
  int n = snprintf(path, PATH_BYTES, "%s/%s_%d.npy", results->folder, id, i);
  return n < PATH_BYTES ? BRAID_OK : braid_fail(BRAID_EINVAL, "--results: the folder's name is too long");
}

/* Edges decide how much comes: others that use the disk are to have room all the same. */
static enum braid_status check_room(const struct results *results, const struct braid_result *r) {
  struct statvfs disk;
  uint64_t bytes = results->spare_bytes;
  for (int i = 0; i < r->n_out; i++) {
    size_t more;
    BRAID_TRY(braid_shape_bytes(&r->out[i].shape, r->out[i].dtype, &more));
    bytes += more;
  }
  if (statvfs(results->folder, &disk) != 0) return fail(results->folder);
  if ((uint64_t)disk.f_bavail >= bytes / disk.f_frsize) return BRAID_OK;
  return braid_fail(BRAID_EIO, "%s: less than the %zu MiB of --results-spare would be free on the disk",
                    results->folder, results->spare_bytes >> 20);
}

/* Nobody has this file yet, and nobody gets it after us. */
static enum braid_status claim(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return fail(path);
  close(fd);
  return BRAID_OK;
}

static enum braid_status write_files(const struct results *results, const struct braid_result *r, int *n_claimed) {
  for (int i = 0; i < r->n_out; i++) {
    char path[PATH_BYTES];
    BRAID_TRY(path_of(results, r, i, path));
    BRAID_TRY(claim(path));
    *n_claimed = i + 1;
    BRAID_TRY(io_npy_write(path, &r->out[i]));
  }
  return BRAID_OK;
}

static void remove_files(const struct results *results, const struct braid_result *r, int n_claimed) {
  for (int i = 0; i < n_claimed; i++) {
    char path[PATH_BYTES];
    if (path_of(results, r, i, path) == BRAID_OK) unlink(path);
  }
}

static json_t *output_json(const struct braid_result *r, int i) {
  int n = 0;
  const struct braid_node *node = braid_graph_node(r->graph, braid_graph_outputs(r->graph, &n)[i]);
  char id[BRAID_RESULT_ID_BYTES], file[BRAID_RESULT_ID_BYTES + 24];
  braid_result_id(r->run, r->frame, id);
  snprintf(file, sizeof file, "%s_%d.npy", id, i);
  return json_pack("{s:s, s:s, s:o, s:s}", "name", node->name, "dtype", braid_dtype_name(r->out[i].dtype), "shape",
                   cli_shape_json(&r->out[i].shape), "file", file);
}

static char *index_line(const struct braid_result *r) {
  json_t *line = begin_line(r), *outputs = json_array();
  bool good = line && outputs;
  for (int i = 0; i < r->n_out && good; i++) good = json_array_append_new(outputs, output_json(r, i)) == 0;
  good = json_object_set_new(line, "outputs", outputs) == 0 && good;
  char *text = good ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
  json_decref(line);
  return text;
}

/* All of the text and a newline, or nothing of it. */
static enum braid_status append(const struct results *results, char *text) {
  size_t n = strlen(text), done = 0;
  off_t end = lseek(results->index, 0, SEEK_END);
  text[n++] = '\n'; /* in place of the 0 */
  while (done < n) {
    ssize_t wrote = write(results->index, text + done, n - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) break;
    done += (size_t)wrote;
  }
  if (done == n) return BRAID_OK;
  enum braid_status status = braid_fail(BRAID_EIO, "%s/results.jsonl: %s", results->folder, strerror(errno));
  if (done > 0 && ftruncate(results->index, end) != 0) (void)braid_fail_in(status, "and cut short");
  return status;
}

static enum braid_status put_files(const struct results *results, const struct braid_result *r) {
  int n_claimed = 0;
  enum braid_status status = check_room(results, r);
  if (status == BRAID_OK) status = write_files(results, r, &n_claimed);
  char *line = status == BRAID_OK ? index_line(r) : NULL;
  if (status == BRAID_OK && !line)
    status = braid_fail(BRAID_EIO, "a line of results.jsonl cannot be written (a name that is not UTF-8?)");
  if (status == BRAID_OK) status = append(results, line);
  free(line);
  if (status != BRAID_OK) remove_files(results, r, n_claimed);
  return status;
}

/* --------------------------------------------------------------------------------------------- the outside */

enum braid_status results_put(struct results *results, const struct braid_result *r) {
  enum braid_status status = results->folder ? put_files(results, r) : print_line(results, r);
  if (status != BRAID_OK) braid_log(BRAID_LOG_WARN, "results of frame %" PRIu64 ": %s", r->frame, braid_error());
  return status;
}

static enum braid_status open_folder(struct results *results) {
  char path[PATH_BYTES];
  if (mkdir(results->folder, 0777) != 0 && errno != EEXIST) return fail(results->folder);
  int n = snprintf(path, sizeof path, "%s/results.jsonl", results->folder);
  if (n >= (int)sizeof path) return braid_fail(BRAID_EINVAL, "--results: the folder's name is too long");
  results->index = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  return results->index >= 0 ? BRAID_OK : fail(path);
}

int results_open(const char *where, int top, size_t spare_bytes, struct results **out) {
  struct results *results = braid_calloc(1, sizeof *results);
  enum braid_status status = results ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for results");
  if (results) {
    results->folder = strcmp(where, "-") == 0 ? NULL : where;
    results->index = -1;
    results->top = top;
    results->spare_bytes = spare_bytes;
  }
  if (status == BRAID_OK && results->folder) status = open_folder(results);
  if (status == BRAID_OK) {
    *out = results;
    return CLI_DONE;
  }
  results_close(&results);
  return cli_fail(CLI_FAILED);
}

void results_close(struct results **results) {
  if (!*results) return;
  if ((*results)->index >= 0) close((*results)->index);
  braid_free(*results);
  *results = NULL;
}
