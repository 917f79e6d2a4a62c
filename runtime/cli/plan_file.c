/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_file.h"

#include "io.h"

#include <string.h>

static const size_t max_bytes = (size_t)16 << 20;

enum braid_status plan_file_read(const char *path, const struct braid_graph *graph, struct braid_plan **out) {
  uint8_t *data;
  size_t size;
  BRAID_TRY(io_read_file(path, max_bytes, &data, &size));
  enum braid_status status = braid_plan_from_json((const char *)data, size, graph, out);
  braid_free(data);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", path);
}

enum braid_status profile_file_read(const char *path, const struct braid_graph *graph, struct braid_profile **out) {
  uint8_t *data;
  size_t size;
  BRAID_TRY(io_read_file(path, max_bytes, &data, &size));
  enum braid_status status = braid_profile_from_json((const char *)data, size, graph, out);
  braid_free(data);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", path);
}

enum braid_status profile_file_write(const char *path, const struct braid_profile *profile) {
  char *text;
  BRAID_TRY(braid_profile_to_json(profile, &text));
  enum braid_status status = io_write_file(path, text, strlen(text));
  braid_free(text);
  return status;
}
