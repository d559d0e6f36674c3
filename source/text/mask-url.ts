// A URL as it may be seen: no password, and no value of a parameter that is, or looks like, a secret.

const secretName =
	/token|sig|key|pass|pwd|auth|secret|credential|jwt|session|^sid$|ticket|hash|md5|hmac|^hdn|policy|^code$|otp/i;

/** The URL without its user, its password and those values of its query and fragment that tell or look random. */
export function maskUrl(url: string, mask = '***'): string {
	return url
		.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#\s]*@/i, `$1${mask}@`)
		.replace(
			/([?#&;])([^=?#&;\s]+)(?:=([^#&;\s]*))?/g,
			(parameter, separator: string, name: string, value: string | undefined) => {
				if (value === undefined) {
					return looksRandom(name) ? `${separator}${mask}` : parameter;
				}

				return secretName.test(decoded(name)) || looksRandom(value)
					? `${separator}${name}=${mask}`
					: parameter;
			},
		);
}

/** Long, of letters and digits, and no name of a file. */
function looksRandom(value: string): boolean {
	return (
		/^[\w.~%+/=:*-]{16,}$/.test(value) &&
		/\d/.test(value) &&
		/[a-z]/i.test(value) &&
		!/\.[a-z][a-z\d]{1,4}$/i.test(value)
	);
}

function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
