# bash completion for dx
_dx() {
	local cur=${COMP_WORDS[COMP_CWORD]} words
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'lock add remove update ls why fetch verify export rebuild store semver --help --version' -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	lock) mapfile -t COMPREPLY < <(compgen -W '--check --update --dedupe --explain --from= --lockfile-version= show export diff merge --help' -- "$cur"
		compgen -f -- "$cur") ;;
	add) mapfile -t COMPREPLY < <(compgen -W '--save --save-dev --save-optional --save-peer --save-prod --save-bundle --save-exact --save-prefix= --tag= --workspace= --workspaces --include-workspace-root --help' -- "$cur") ;;
	ls) mapfile -t COMPREPLY < <(compgen -W '--all --json --help' -- "$cur") ;;
	remove | update)
		words='--workspace= --workspaces --include-workspace-root --help'
		[ "${COMP_WORDS[1]}" = remove ] || words="--save --save-exact $words"
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		[ -d node_modules ] && [ "${cur#-}" = "$cur" ] && mapfile -t COMPREPLY < <(cd node_modules && compgen -d -- "$cur")
		;;
	why)
		[ -d node_modules ] && mapfile -t COMPREPLY < <(cd node_modules && compgen -d -- "$cur")
		;;
	verify) mapfile -t COMPREPLY < <(compgen -W '--json --registry= --help' -- "$cur") ;;
	fetch) mapfile -t COMPREPLY < <(compgen -W '--json --offline --store= --registry= --help' -- "$cur") ;;
	rebuild)
		mapfile -t COMPREPLY < <(compgen -W '--dry-run --registry= --help' -- "$cur")
		[ -d node_modules ] && [ "${cur#-}" = "$cur" ] && mapfile -t COMPREPLY < <(cd node_modules && compgen -d -- "$cur")
		;;
	export)
		mapfile -t COMPREPLY < <(compgen -W '--json --omit= --os= --cpu= --libc= --store= --registry= --offline --help' -- "$cur"
			compgen -d -- "$cur")
		;;
	store) mapfile -t COMPREPLY < <(compgen -W 'verify gc ls stats --json --dry-run --older-than= --store= --help' -- "$cur") ;;
	semver) mapfile -t COMPREPLY < <(compgen -W '--range= --loose --include-prerelease --batch --help' -- "$cur") ;;
	esac
}
complete -F _dx dx
