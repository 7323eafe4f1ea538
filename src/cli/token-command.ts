/** `token`: a new bearer token in a file of its own, and the line of the access file that lets it in. */
import { writeFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { MillraceError } from '../core/errors.ts'
import { isRole, isSubjectName, type Role, roles } from '../security/access.ts'
import { digestOf, newToken } from '../security/digest.ts'
import type { CliDeps } from './deps.ts'
import { usage } from './failure.ts'

/** Adds the command to the program. */
export function addTokenCommand(program: Command, deps: CliDeps): void {
  program
    .command('token')
    .summary('make a token and its line of the access file')
    .description(
      'Makes a bearer token. The token goes to a new file that only its owner may read; the line for MILLRACE_ACCESS_FILE ' +
        'goes to standard output, and holds its hash only. The caller sets MILLRACE_TOKEN_FILE to the token, or sends ' +
        'authorization: Bearer TOKEN.',
    )
    .argument('<name>', 'who the token is for, as the audit log calls them')
    .addOption(
      new Option('-r, --role <role>', 'viewer looks, operator runs jobs too, ingest brings events in')
        .choices([...roles])
        .makeOptionMandatory(),
    )
    .requiredOption('--out <file>', 'new file for the token')
    .action((name: string, options: { readonly role: string; readonly out: string }) => {
      if (!isRole(options.role)) throw usage(`--role ${options.role} is not one of ${roles.join(', ')}`)
      deps.stdout.write(makeToken(name, options.role, options.out))
      deps.stderr.write(`the token is in ${options.out}\n`)
    })
}

/** Writes a token to `file` and returns its line. USAGE for a name that is none, INPUT_INVALID when the file is there. */
function makeToken(name: string, role: Role, file: string): string {
  if (!isSubjectName(name)) {
    throw usage('the name may have letters, digits, `.`, `_`, `@` and `-`, 100 at most')
  }
  const token = newToken()
  try {
    writeFileSync(file, `${token}\n`, { mode: 0o600, flag: 'wx' })
  } catch (thrown) {
    const reason =
      (thrown as { readonly code?: string }).code === 'EEXIST'
        ? 'it is there already; name a new file'
        : MillraceError.from(thrown).message
    throw new MillraceError('INPUT_INVALID', `cannot write ${file}: ${reason}`, { cause: thrown })
  }
  return `${name} ${role} sha256:${Buffer.from(digestOf(token)).toString('hex')}\n`
}
