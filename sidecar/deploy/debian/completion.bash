# Completes commands and options in bash, by what --help says, so that it is never behind the programs.

_sprockets() {
  local program=$1 word=$2 before=$3 candidates
  case $before in
    --ack) candidates="redis disk" ;;
    --log-format) candidates="text json" ;;
    --spill-dir | --schema) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    --*-file | --socket | --file) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    *)
      if [[ $program == *replayer && $COMP_CWORD -eq 1 ]]; then
        candidates=$("$program" --help | sed -nE 's/^  ([a-z]+) +[A-Za-z].*/\1/p')
      elif [[ $program == *replayer ]]; then
        candidates=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | grep -oE '^  (-., )?--[a-z-]+' | grep -oE -- '--.*')
      else
        candidates=$("$program" --help | grep -oE '^  (-., )?--[a-z-]+' | grep -oE -- '--.*')
      fi
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
}
complete -F _sprockets sprockets-sidecar sprockets-replayer
