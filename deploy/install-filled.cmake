# deploy/install-filled.cmake - the part of the installation that knows where it is installed. See CMakeLists.txt.

get_filename_component(prefix "${CMAKE_INSTALL_PREFIX}" ABSOLUTE)
foreach(folder BINDIR MANDIR)
    get_filename_component(CMAKE_INSTALL_FULL_${folder} "${CMAKE_INSTALL_${folder}}" ABSOLUTE
                           BASE_DIR "${prefix}")
endforeach()
get_filename_component(shared "${shared}" ABSOLUTE BASE_DIR "${prefix}")
string(REPLACE "%" "%%" UNIT_BINDIR "${CMAKE_INSTALL_FULL_BINDIR}") # systemd's own placeholders

# Fills in deploy/FROM and installs it as FOLDER/NAME.
function(install_filled from folder name)
    configure_file("${source}/${from}" "${made}/${name}" @ONLY)
    file(INSTALL "${made}/${name}" DESTINATION "${folder}")
endfunction()

install_filled(systemd/dashd.service.in "${prefix}/lib/systemd/user" dashd.service)
install_filled(systemd/dashd@.service.in "${prefix}/lib/systemd/system" dashd@.service)
install_filled(modules/dash.in "${shared}/modules/dash" "${DASH_VERSION}")
