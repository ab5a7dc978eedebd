# Writes the bytes of INPUT as a C array, as declared in proto/descriptor_set.h.
file(READ ${INPUT} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR len "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"proto/descriptor_set.h\"\n\nconst unsigned char descriptor_set[] = {\n${bytes}};\nconst size_t descriptor_set_len = ${len};\n")
