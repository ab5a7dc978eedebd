# Joins modules of the page into one script, for a file that has to hold all it needs: -DFOLDER, -DFILES (what a module
# imports stands before it), -DOUTPUT. An import is one line; what the modules name must differ.
set(joined "\"use strict\";\n")
foreach(file ${FILES})
    file(READ ${FOLDER}/${file} text)
    string(REGEX REPLACE "(^|\n)import [^\n]* from \"[^\n]*\";" "" text "${text}")
    string(REGEX REPLACE "(^|\n)export " "\\1" text "${text}")
    string(APPEND joined "${text}")
endforeach()
if(joined MATCHES "</script|<!--|\nimport |\nexport ")
    message(FATAL_ERROR "web/join.cmake: a module has what cannot stand in a script of a page: ${CMAKE_MATCH_0}")
endif()
file(WRITE ${OUTPUT} "${joined}")
