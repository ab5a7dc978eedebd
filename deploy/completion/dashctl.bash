# Completion of dashctl for bash. What there is to complete is asked of dashctl itself.
_dashctl() {
    local current=${COMP_WORDS[COMP_CWORD]} command='' word at
    local program=${COMP_WORDS[0]}

    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if [ "$word" = --server ]; then
            ((at++))
        elif [[ $word != -* ]]; then
            command=$word
            break
        fi
    done
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" ${command:+"$command"} --help 2>/dev/null |
            grep -oE -- '--[a-z][a-z-]+' | sort -u)" -- "$current")
    elif [ -z "$command" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null |
            sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\).*/\1/p') help" -- "$current")
    else
        case $command in
        cancel | checkpoints | compare | delete | download | events | files | logs | pause | report | resume | show | update | watch)
            mapfile -t COMPREPLY < <(compgen -W "$("$program" list --ids 2>/dev/null)" -- "$current") ;;
        help)
            mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null |
                sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\).*/\1/p')" -- "$current") ;;
        *)
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            compopt -o filenames ;;
        esac
    fi
}
complete -F _dashctl dashctl
