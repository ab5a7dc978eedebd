/* Jansson's loops as cppcheck, which reads no system headers, is to take them. */
#define json_array_foreach(array, index, value)                                                    \
    for ((index) = 0; (index) < json_array_size(array); (index)++)                                 \
        if ((value) = json_array_get(array, index))
#define json_object_foreach(object, key, value) while (lint_next(object, &(key), &(value)))
