# Completion of dashctl for fish. What there is to complete is asked of dashctl itself.
function __dashctl_commands
    dashctl --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\).*/\1/p'
end

function __dashctl_options
    set -l command (commandline -opc)[2..-1]
    dashctl $command[1] --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]+' | sort -u
end

set -l jobs cancel checkpoints compare delete download events files logs pause report resume show update watch
complete -c dashctl -n __fish_use_subcommand -f -a '(__dashctl_commands) help'
complete -c dashctl -n '__fish_seen_subcommand_from help' -f -a '(__dashctl_commands)'
complete -c dashctl -n "__fish_seen_subcommand_from $jobs" -f -a '(dashctl list --ids 2>/dev/null)'
complete -c dashctl -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__dashctl_options)'
