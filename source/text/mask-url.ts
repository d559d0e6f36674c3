// Masks the secrets in a URL before it is displayed or logged.
import {decoded} from './decoded.ts';

const secretName =
	/token|sig|key|pass|pwd|auth|secret|credential|jwt|session|^sid$|ticket|hash|md5|hmac|^hdn|policy|^code$|otp/i;

/** Masks the user info, and every query or fragment value whose name suggests a secret or that looks random. */
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

/** True for long strings of letters and digits that are not file names. */
function looksRandom(value: string): boolean {
	return (
		/^[\w.~%+/=:*-]{16,}$/.test(value) &&
		/\d/.test(value) &&
		/[a-z]/i.test(value) &&
		!/\.[a-z][a-z\d]{1,4}$/i.test(value)
	);
}
