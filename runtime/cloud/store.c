/* SPDX-License-Identifier: Apache-2.0
 * Models that edges have brought: opening the folder, and the networks in memory. A network is loaded when an edge asks
 * for its content hash and goes with its last user, so that what edges bring takes memory only while it is used. */
#include "cloud/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MODEL_BYTES ((size_t)512 << 20)
#define DEFAULT_QUOTA_BYTES ((size_t)4 << 30)
#define UNPACK_BYTES ((size_t)256 << 20) /* that an import may take besides twice the file */

struct stored {
  char hash[65];
  struct braid_graph *graph;
  size_t bytes;
  int users;
  struct stored *next;
};

/* --------------------------------------------------------------------------------------------- open, close */

static enum braid_status make_folder(const char *path) {
  if (mkdir(path, 0777) == 0 || errno == EEXIST) return BRAID_OK;
  return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
}

/* Of a cloud that was killed; one that is still at it holds the lock. */
static void remove_leftover(const struct braid_store *store, const char *name) {
  char path[STORE_PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", store->dir, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0)
    braid_log(BRAID_LOG_INFO, "%s: removed; it was never finished", path);
  close(fd);
}

static enum braid_status remove_leftovers(const struct braid_store *store) {
  DIR *dir = opendir(store->dir);
  if (!dir) return braid_fail(BRAID_EIO, "%s: %s", store->dir, strerror(errno));
  for (const struct dirent *entry; (entry = readdir(dir));)
    if (strncmp(entry->d_name, "part-", 5) == 0) remove_leftover(store, entry->d_name);
  closedir(dir);
  if (access(store->dir, W_OK | X_OK) == 0) return BRAID_OK;
  return braid_fail(BRAID_EIO, "%s: %s", store->dir, strerror(errno));
}

static enum braid_status open_folder(struct braid_store *store, const char *dir) {
  char path[STORE_PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/uploaded", dir) > STORE_PATH_BYTES - 100)
    return braid_fail(BRAID_EINVAL, "%.200s...: the name is too long", dir);
  store->dir = braid_strdup(path);
  if (!store->dir) return braid_fail(BRAID_ENOMEM, "no memory for a store of models");
  BRAID_TRY(make_folder(dir));
  BRAID_TRY(make_folder(path));
  return remove_leftovers(store);
}

enum braid_status braid_store_open(const struct braid_store_opts *opts, struct braid_store **out) {
  struct braid_store *store = braid_calloc(1, sizeof *store);
  if (!store) return braid_fail(BRAID_ENOMEM, "no memory for a store of models");
  store->max_model_bytes = opts->max_model_bytes ? opts->max_model_bytes : DEFAULT_MODEL_BYTES;
  store->quota_bytes = opts->quota_bytes ? opts->quota_bytes : DEFAULT_QUOTA_BYTES;
  store->unloads = true;
  pthread_mutex_init(&store->names, NULL);
  enum braid_status status = open_folder(store, opts->dir);
  if (status == BRAID_OK)
    *out = store;
  else
    braid_store_close(&store);
  return status;
}

static void forget(struct braid_store *store, struct stored *s) {
  struct stored **at = &store->loaded;
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  store->loaded_bytes -= s->bytes;
  braid_graph_destroy(&s->graph);
  braid_free(s);
}

void braid_store_close(struct braid_store **out) {
  struct braid_store *store = *out;
  if (!store) return;
  while (store->loaded) forget(store, store->loaded);
  pthread_mutex_destroy(&store->names);
  braid_free(store->dir);
  braid_free(store);
  *out = NULL;
}

/* ----------------------------------------------------------------------------------------------- loading */

size_t store_bytes(const struct braid_store *store) {
  return store ? atomic_load_explicit(&store->loaded_bytes, memory_order_relaxed) : 0;
}

enum braid_status store_accepts(const struct braid_store *store, uint64_t bytes) {
  if (bytes <= store->max_model_bytes) return BRAID_OK;
  return braid_fail(BRAID_EBUSY,
                    "the model's file has %llu MiB, over the %zu MiB that the cloud takes: raise its --max-model",
                    (unsigned long long)(bytes >> 20) + 1, store->max_model_bytes >> 20);
}

static struct stored *find_loaded(const struct braid_store *store, const struct braid_graph *graph, const char *hash) {
  struct stored *s = store->loaded;
  while (s && s->graph != graph && !(hash && strcmp(s->hash, hash) == 0)) s = s->next;
  return s;
}

/* Files beside it are out of bounds for a model from elsewhere, and so are paths for what the edge is told. */
static enum braid_status open_graph(const char *path, const struct hello *hello, int batch, size_t room_bytes,
                                    struct braid_graph **graph) {
  struct stat st;
  if (stat(path, &st) != 0) return braid_fail(BRAID_EIO, "the model's file has gone: %s", strerror(errno));
  size_t most = 2 * (size_t)st.st_size + UNPACK_BYTES, n = strlen(path);
  struct braid_open_opts opts = {.batch = batch, .one_file = true, .name = hello->model};
  opts.max_bytes = most < room_bytes ? most : room_bytes > 0 ? room_bytes : 1;
  enum braid_status status = braid_model_open(path, &opts, graph);
  if (status == BRAID_OK) return status;
  char why[1024];
  const char *text = braid_error();
  while (strncmp(text, path, n) == 0 && text[n] == ':') text += n + 2;
  snprintf(why, sizeof why, "%s", text);
  if (status != BRAID_ENOMEM || room_bytes >= most) return braid_fail(status, "the model cannot be used here: %s", why);
  return braid_fail(BRAID_EBUSY, "the model cannot be used here: %s, which is what the cloud's --memory leaves", why);
}

static enum braid_status check_hash(const struct braid_graph *graph, const struct hello *hello, char hash[65]) {
  braid_graph_hash_text(graph, hash);
  if (strcmp(hash, hello->hash) == 0) return BRAID_OK;
  return braid_fail(BRAID_EMISMATCH, "the file of model '%s' gives hash %.12s here, the edge says %.12s", hello->model,
                    hash, hello->hash);
}

static enum braid_status load(struct braid_store *store, const char *path, const struct hello *hello, int batch,
                              size_t room_bytes, struct stored **out) {
  struct stored *s = braid_calloc(1, sizeof *s);
  if (!s) return braid_fail(BRAID_ENOMEM, "no memory for another model");
  enum braid_status status = open_graph(path, hello, batch, room_bytes, &s->graph);
  if (status == BRAID_OK) status = check_hash(s->graph, hello, s->hash);
  if (status != BRAID_OK) {
    braid_graph_destroy(&s->graph);
    braid_free(s);
    return status;
  }
  int64_t params, macs, weight_bytes;
  braid_graph_totals(s->graph, &params, &macs, &weight_bytes);
  s->bytes = (size_t)weight_bytes;
  store->loaded_bytes += s->bytes;
  s->next = store->loaded;
  store->loaded = s;
  *out = s;
  return BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------- pointers */

struct place {
  char sha256[65];
  int batch;
};

static void path_of(const struct braid_store *store, const char *hash, const char *ending,
                    char path[STORE_PATH_BYTES]) {
  snprintf(path, STORE_PATH_BYTES, "%s/%s.%s", store->dir, hash, ending);
}

/* Where the network of that hash is: as an earlier edge found out, else in the very file that is offered. */
static bool find_place(const struct braid_store *store, const struct hello *hello, struct place *place) {
  char path[STORE_PATH_BYTES];
  path_of(store, hello->hash, "network", path);
  FILE *file = fopen(path, "re");
  bool known = file && fscanf(file, "%64s %d", place->sha256, &place->batch) == 2 && hello_is_hash(place->sha256) &&
               place->batch >= 1 && place->batch <= HELLO_MAX_BATCH;
  if (file) fclose(file);
  if (known) path_of(store, place->sha256, "onnx", path);
  if (known && access(path, R_OK) == 0) return true;
  if (hello->file_bytes == 0) return false;
  memcpy(place->sha256, hello->file_sha256, sizeof place->sha256);
  place->batch = hello->batch;
  path_of(store, place->sha256, "onnx", path);
  return access(path, R_OK) == 0;
}

/* A file gives as many networks as there are batches, so these are bounded for themselves. */
static bool has_room_for_place(const struct braid_store *store) {
  DIR *dir = opendir(store->dir);
  int n = 0;
  while (dir && readdir(dir)) n++;
  if (dir) closedir(dir);
  return n < 4 * STORE_MAX_MODELS;
}

/* By renaming: half of one is never seen. */
static enum braid_status write_place(const struct braid_store *store, const char *hash, const struct place *place) {
  char path[STORE_PATH_BYTES], made[STORE_PATH_BYTES];
  path_of(store, hash, "network", path);
  if (access(path, F_OK) != 0 && !has_room_for_place(store))
    return braid_fail(BRAID_EBUSY, "%s: too many files to note where model %.12s is", store->dir, hash);
  snprintf(made, sizeof made, "%s/part-XXXXXX", store->dir);
  int fd = mkostemp(made, O_CLOEXEC);
  FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
  if (!file) {
    if (fd >= 0) close(fd);
    return braid_fail(BRAID_EIO, "the cloud cannot note where model %.12s is: %s", hash, strerror(errno));
  }
  bool good = fprintf(file, "%s %d\n", place->sha256, place->batch) > 0;
  good = fclose(file) == 0 && good;
  if (good && rename(made, path) == 0) return BRAID_OK;
  int error = errno;
  unlink(made);
  return braid_fail(BRAID_EIO, "the cloud cannot note where model %.12s is: %s", hash, strerror(error));
}

/* Without it the model is still found when its file is offered. */
static void note_place(const struct braid_store *store, const char *hash, const struct place *place) {
  if (write_place(store, hash, place) != BRAID_OK) braid_log(BRAID_LOG_WARN, "%s", braid_error());
}

static void take(struct stored *s, const struct braid_graph **graph) {
  s->users++;
  *graph = s->graph;
}

enum braid_status store_find(struct braid_store *store, const struct hello *hello, size_t room_bytes,
                             const struct braid_graph **graph) {
  *graph = NULL;
  if (!hello_is_hash(hello->hash)) return BRAID_OK;
  struct stored *s = find_loaded(store, NULL, hello->hash);
  struct place place;
  if (!s) {
    if (!find_place(store, hello, &place)) return BRAID_OK;
    char path[STORE_PATH_BYTES];
    path_of(store, place.sha256, "onnx", path);
    enum braid_status status = load(store, path, hello, place.batch, room_bytes, &s);
    if (status != BRAID_OK) return braid_fail_in(status, "uploaded file %.12s", place.sha256);
    note_place(store, hello->hash, &place);
  }
  take(s, graph);
  return BRAID_OK;
}

static enum braid_status settle(struct braid_store *store, const struct hello *hello, struct incoming *in) {
  struct place place = {.batch = hello->batch};
  char path[STORE_PATH_BYTES];
  memcpy(place.sha256, in->sha256, sizeof place.sha256);
  path_of(store, in->sha256, "onnx", path);
  if (rename(in->path, path) != 0) return braid_fail(BRAID_EIO, "the cloud cannot keep the model: %s", strerror(errno));
  in->path[0] = '\0';
  note_place(store, hello->hash, &place);
  return BRAID_OK;
}

enum braid_status store_keep(struct braid_store *store, const struct hello *hello, size_t room_bytes,
                             struct incoming *in, const struct braid_graph **graph) {
  struct stored *s = NULL;
  *graph = NULL;
  BRAID_TRY(load(store, in->path, hello, hello->batch, room_bytes, &s));
  pthread_mutex_lock(&store->names);
  enum braid_status status = settle(store, hello, in);
  pthread_mutex_unlock(&store->names);
  if (status == BRAID_OK)
    take(s, graph);
  else
    forget(store, s);
  return status;
}

void store_hold(struct braid_store *store, const struct braid_graph *graph) {
  struct stored *s = store && graph ? find_loaded(store, graph, NULL) : NULL;
  if (s) s->users++;
}

void store_release(struct braid_store *store, const struct braid_graph *graph) {
  struct stored *s = store && graph ? find_loaded(store, graph, NULL) : NULL;
  if (s && --s->users == 0 && store->unloads) forget(store, s);
}
