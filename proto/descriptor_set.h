/* proto/descriptor_set.h - the .proto files in binary form: a serialised
 * google.protobuf.FileDescriptorSet, made by protoc during the build. Reflection answers from it.
 */
#pragma once
#include <stddef.h>

extern const unsigned char descriptor_set[];
extern const size_t descriptor_set_len;
