// The token in which a CI provider says who a job is, as the commands are given it: by file, variable or stdin.
import { type Command, Option } from 'commander'
import { Failure } from '../failure.ts'
import { secretFromFile, secretFromStdin } from '../secret-input.ts'
import { shell } from '../shell.ts'

export type JwtOptions = { readonly jwtFile?: string; readonly jwtEnv?: string }

export const addJwtOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--jwt-file <file>', 'read the CI provider’s token from a file').conflicts('jwtEnv'),
    )
    .option('--jwt-env <name>', 'read it from this variable')

export const isGiven = ({ jwtFile, jwtEnv }: JwtOptions): boolean =>
  jwtFile !== undefined || jwtEnv !== undefined

/** From stdin, if neither file nor variable is named. @throws Failure */
export async function readJwt({ jwtFile, jwtEnv }: JwtOptions, example: string): Promise<string> {
  if (jwtFile !== undefined) return secretFromFile('--jwt-file', jwtFile)
  if (jwtEnv === undefined) return secretFromStdin('Without --jwt-file and --jwt-env this', example)
  const jwt = shell.variable(jwtEnv)?.trim()
  if (jwt) return jwt
  throw new Failure('signIn', 'no-credential', `--jwt-env: ${jwtEnv} is not set.`, 'Name another variable.')
}

/** What it says, unchecked; null: it is no JWT. */
export function claimsOf(jwt: string): Record<string, unknown> | null {
  try {
    return Object(JSON.parse(Buffer.from(jwt.split('.')[1]!, 'base64url').toString()))
  } catch {
    return null
  }
}
