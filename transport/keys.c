/* SPDX-License-Identifier: Apache-2.0
 * The folder of keys: made, read, wiped. Secrets are in a file of mode 0600 from its first moment on (O_EXCL: never in
 * one that was there), and in memory no longer than needed. */
#include "keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { PATH_BYTES = 1024 };

static enum braid_status make_path(char path[PATH_BYTES], const char *dir, const char *rest, const char *end) {
  int n = snprintf(path, PATH_BYTES, "%s/%s%s", dir, rest, end);
  return n < PATH_BYTES ? BRAID_OK : braid_fail(BRAID_EINVAL, "path is too long: %.80s...", dir);
}

/* ----------------------------------------------------------------------------------------------- one file */

void key_text_free(char *text, size_t size) {
  if (text) explicit_bzero(text, size);
  braid_free(text);
}

static enum braid_status check_file(int fd, const char *path, bool secret, size_t max_bytes, size_t *size) {
  struct stat st;
  if (fstat(fd, &st) != 0) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  if (!S_ISREG(st.st_mode)) return braid_fail(BRAID_EINVAL, "%s: not a file", path);
  if (secret && (st.st_mode & (S_IRWXG | S_IRWXO)))
    return braid_fail(BRAID_EINVAL, "%s holds a secret, but others may read it (mode %03o): chmod 600 %s", path,
                      (unsigned)(st.st_mode & 0777), path);
  if ((uint64_t)st.st_size > max_bytes)
    return braid_fail(BRAID_EFORMAT, "%s: %lld bytes; at most %zu are read", path, (long long)st.st_size, max_bytes);
  *size = (size_t)st.st_size;
  return BRAID_OK;
}

static enum braid_status read_open(int fd, const char *path, bool secret, size_t max_bytes, char **text, size_t *size) {
  size_t expected = 0, n = 0;
  BRAID_TRY(check_file(fd, path, secret, max_bytes, &expected));
  char *buf = braid_malloc(expected + 1);
  if (!buf) return braid_fail(BRAID_ENOMEM, "no memory to read %s", path);
  ssize_t got = 1;
  while (n < expected && (got = read(fd, buf + n, expected - n)) != 0) {
    if (got > 0)
      n += (size_t)got;
    else if (errno != EINTR)
      break;
  }
  if (got < 0) {
    key_text_free(buf, n);
    return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  }
  buf[n] = '\0';
  *text = buf;
  *size = n;
  return BRAID_OK;
}

enum braid_status key_file_read(const char *path, bool secret, size_t max_bytes, char **text, size_t *size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return braid_fail(errno == ENOENT ? BRAID_ENOTFOUND : BRAID_EIO, "%s: %s", path, strerror(errno));
  enum braid_status status = read_open(fd, path, secret, max_bytes, text, size);
  close(fd);
  return status;
}

static enum braid_status read_key(const char *dir, const char *name, const char *end, bool secret,
                                  char key[BRAID_KEY_BYTES]) {
  char path[PATH_BYTES], *text;
  size_t size;
  BRAID_TRY(make_path(path, dir, name, end));
  BRAID_TRY(key_file_read(path, secret, KEY_FILE_BYTES, &text, &size));
  enum braid_status status = key_parse(text, size, key);
  key_text_free(text, size);
  return status == BRAID_OK ? status : braid_fail_in(status, "%s", path);
}

static enum braid_status write_all(int fd, const char *path, const char *text) {
  size_t left = strlen(text);
  while (left > 0) {
    ssize_t n = write(fd, text, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
    text += n;
    left -= (size_t)n;
  }
  return fsync(fd) == 0 ? BRAID_OK : braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
}

/* `flags`: O_EXCL for a new file, O_APPEND for a line more. */
static enum braid_status write_file(const char *path, int flags, mode_t mode, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode);
  if (fd < 0) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  enum braid_status status = write_all(fd, path, text);
  if (close(fd) != 0 && status == BRAID_OK) status = braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  if (status != BRAID_OK && (flags & O_EXCL)) unlink(path); /* half a key is none */
  return status;
}

/* ------------------------------------------------------------------------------------------------- making */

static enum braid_status make_dir(const char *path) {
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return BRAID_OK;
  return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
}

static enum braid_status write_pair(const char *dir, const char *name, const char *what,
                                    char public_key[BRAID_KEY_BYTES]) {
  char path[PATH_BYTES], text[256], secret_key[BRAID_KEY_BYTES];
  BRAID_TRY(make_path(path, dir, name, ".key"));
  if (zmq_curve_keypair(public_key, secret_key))
    return braid_fail(BRAID_EUNSUPPORTED, "no keys: %s (libzmq was built without CURVE)", zmq_strerror(zmq_errno()));
  snprintf(text, sizeof text, "# Braid: secret key of %s. Keep it here and nowhere else.\n%s\n", what, secret_key);
  enum braid_status status = write_file(path, O_EXCL, 0600, text);
  explicit_bzero(text, sizeof text);
  explicit_bzero(secret_key, sizeof secret_key);
  BRAID_TRY(status);
  snprintf(text, sizeof text, "# Braid: public key of %s.\n%s\n", what, public_key);
  BRAID_TRY(make_path(path, dir, name, ".pub"));
  return write_file(path, O_EXCL, 0644, text);
}

/* Is one of the two files there? Then neither is made. */
static enum braid_status has_pair(const char *dir, const char *name, bool *there) {
  char path[PATH_BYTES];
  *there = true;
  BRAID_TRY(make_path(path, dir, name, ".key"));
  if (access(path, F_OK) == 0) return BRAID_OK;
  BRAID_TRY(make_path(path, dir, name, ".pub"));
  *there = access(path, F_OK) == 0;
  return BRAID_OK;
}

static enum braid_status start_list(const char *dir) {
  char path[PATH_BYTES];
  BRAID_TRY(make_path(path, dir, "allowed", ""));
  if (access(path, F_OK) == 0) return BRAID_OK;
  return write_file(path, O_EXCL, 0644,
                    "# Braid: edges that the cloud lets in, one a line: NAME PUBLIC-KEY. Changes count at once;\n"
                    "# an edge whose line is gone is cut off.\n");
}

enum braid_status braid_keys_make_cloud(const char *dir, bool *made) {
  char public_key[BRAID_KEY_BYTES];
  bool there;
  BRAID_TRY(make_dir(dir));
  BRAID_TRY(has_pair(dir, "cloud", &there));
  if (!there) BRAID_TRY(write_pair(dir, "cloud", "the cloud", public_key));
  *made = !there;
  return start_list(dir);
}

static enum braid_status allow(const char *dir, const char *name, const char *public_key) {
  char path[PATH_BYTES], line[BRAID_KEY_NAME_BYTES + BRAID_KEY_BYTES + 2];
  BRAID_TRY(start_list(dir));
  BRAID_TRY(make_path(path, dir, "allowed", ""));
  snprintf(line, sizeof line, "%s %s\n", name, public_key);
  return write_file(path, O_APPEND, 0644, line);
}

enum braid_status braid_keys_make_edge(const char *dir, const char *name, bool *made) {
  char edges[PATH_BYTES], public_key[BRAID_KEY_BYTES];
  bool there;
  if (!key_name_ok(name))
    return braid_fail(BRAID_EINVAL, "'%s' cannot name an edge: 1 to 63 letters, digits, '-', '_' or '.'", name);
  BRAID_TRY(make_dir(dir));
  BRAID_TRY(make_path(edges, dir, "edges", ""));
  BRAID_TRY(make_dir(edges));
  BRAID_TRY(has_pair(edges, name, &there));
  *made = !there;
  if (there) return BRAID_OK;
  BRAID_TRY(write_pair(edges, name, name, public_key));
  return allow(dir, name, public_key);
}

/* ------------------------------------------------------------------------------------------------ reading */

void braid_keys_wipe(struct braid_link_keys *keys) {
  braid_free(keys->allowed);
  explicit_bzero(keys, sizeof *keys);
}

static enum braid_status read_pair(const char *dir, const char *name, struct braid_link_keys *keys) {
  BRAID_TRY(read_key(dir, name, ".key", true, keys->secret_key));
  if (zmq_curve_public(keys->public_key, keys->secret_key) == 0) return BRAID_OK;
  return braid_fail(BRAID_EUNSUPPORTED, "%s/%s.key: %s (was libzmq built without CURVE?)", dir, name,
                    zmq_strerror(zmq_errno()));
}

enum braid_status braid_keys_read_cloud(const char *dir, struct braid_link_keys *keys) {
  char path[PATH_BYTES];
  *keys = (struct braid_link_keys){0};
  enum braid_status status = read_pair(dir, "cloud", keys);
  if (status == BRAID_OK) status = make_path(path, dir, "allowed", "");
  if (status == BRAID_OK && !(keys->allowed = braid_strdup(path))) status = braid_fail(BRAID_ENOMEM, "no memory");
  if (status == BRAID_OK) return status;
  braid_keys_wipe(keys);
  return braid_fail_in(status, "keys of the cloud ('braid keys %s' makes them)", dir);
}

/* The name of the only NAME.key in `edges`. */
static enum braid_status only_edge(const char *edges, char name[BRAID_KEY_NAME_BYTES]) {
  DIR *dir = opendir(edges);
  if (!dir) return braid_fail(BRAID_ENOTFOUND, "%s: %s", edges, strerror(errno));
  int found = 0;
  for (const struct dirent *d; (d = readdir(dir));) {
    size_t n = strlen(d->d_name);
    if (n <= 4 || n - 4 >= BRAID_KEY_NAME_BYTES || strcmp(d->d_name + n - 4, ".key") != 0) continue;
    memcpy(name, d->d_name, n - 4);
    name[n - 4] = '\0';
    found++;
  }
  closedir(dir);
  if (found == 1) return BRAID_OK;
  return found == 0 ? braid_fail(BRAID_ENOTFOUND, "%s: no NAME.key in it", edges)
                    : braid_fail(BRAID_EINVAL, "%s: %d keys in it: say which one is this edge's", edges, found);
}

static enum braid_status read_edge(const char *dir, const char *name, struct braid_link_keys *keys) {
  char edges[PATH_BYTES], only[BRAID_KEY_NAME_BYTES];
  BRAID_TRY(make_path(edges, dir, "edges", ""));
  if (!name) BRAID_TRY(only_edge(edges, only));
  BRAID_TRY(read_key(dir, "cloud", ".pub", false, keys->server_key));
  return read_pair(edges, name ? name : only, keys);
}

enum braid_status braid_keys_read_edge(const char *dir, const char *name, struct braid_link_keys *keys) {
  *keys = (struct braid_link_keys){0};
  enum braid_status status = read_edge(dir, name, keys);
  if (status == BRAID_OK) return status;
  braid_keys_wipe(keys);
  return braid_fail_in(status, "keys of this edge ('braid keys --edge NAME' makes them)");
}
