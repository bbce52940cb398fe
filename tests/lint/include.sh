#!/bin/bash
# A folder includes only itself and common/, plus headers that the owning folder
# declares public ("Public" in the header's first comment).
cd "$(dirname "$0")/../.." || exit 1
bad=0
for dir in common start smtpd queue inject filter send pop3d users dns install; do
	while IFS=: read -r file line text; do
		header=$(sed -n 's/.*#include "\([^"]*\)".*/\1/p' <<<"$text")
		owner=${header%%/*}
		case $owner in
		"$dir" | common) continue ;;
		esac
		if [ ! -e "$header" ]; then
			echo "$file:$line: there is no $header"
		elif sed -n '1,/\*\//p' "$header" | grep -q 'Public'; then
			continue
		else
			echo "$file:$line: $header is not public"
		fi
		bad=1
	done < <(grep -n '#include "' "$dir"/*.[ch] /dev/null)
done
exit $bad
