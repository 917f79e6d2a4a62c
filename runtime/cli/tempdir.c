/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum braid_status tempdir_make(const char *what, char dir[TEMPDIR_BYTES]) {
  const char *tmp = getenv("TMPDIR");
  snprintf(dir, TEMPDIR_BYTES, "%.36s/braid-%.12s-XXXXXX", tmp && *tmp ? tmp : "/tmp", what);
  if (mkdtemp(dir)) return BRAID_OK;
  int error = errno;
  enum braid_status status = braid_fail(BRAID_EIO, "%s: %s", dir, strerror(error));
  dir[0] = '\0';
  return status;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
  (void)st;
  (void)type;
  (void)where;
  return remove(path);
}

void tempdir_remove(char dir[TEMPDIR_BYTES]) {
  if (*dir) nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  dir[0] = '\0';
}
