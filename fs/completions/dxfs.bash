# bash completion for dxfs
_dxfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} commands='mount unmount status diff reset patch doctor'
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
		return
	fi
	case $cur in
	-*)
		case ${COMP_WORDS[1]} in
		mount) mapfile -t COMPREPLY < <(compgen -W '--foreground --lock= --store= --store-behind= --upper= --read-only --offline --prefetch=none --prefetch=predicted --prefetch=background --prefetch=all --omit=dev --omit=optional --omit=peer --os= --cpu= --libc= --registry= --allow-other --force --fallback=export --verbose --help' -- "$cur") ;;
		unmount) mapfile -t COMPREPLY < <(compgen -W '--lazy --help' -- "$cur") ;;
		diff) mapfile -t COMPREPLY < <(compgen -W '--json --upper= --help' -- "$cur") ;;
		reset) mapfile -t COMPREPLY < <(compgen -W '--upper= --help' -- "$cur") ;;
		patch) mapfile -t COMPREPLY < <(compgen -W '--stdout --store= --upper= --help' -- "$cur") ;;
		status | doctor) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$cur") ;;
		esac
		;;
	*) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
	esac
}
complete -o filenames -F _dxfs dxfs
