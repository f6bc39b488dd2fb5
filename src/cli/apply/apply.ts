// `latchkey apply -f latchkey.yaml`: brings services, scopes, trust policies and service tokens to what a file says. A plan
// first; what the file does not say is left alone; the same file again changes nothing.
import { Command, Option } from 'commander'
import { confirm, yesOption } from '../ask.ts'
import { Failure, usage } from '../failure.ts'
import { textOf } from '../input.ts'
import type { Output } from '../output.ts'
import { plain } from '../people.ts'
import { type Remote, remote } from '../remote.ts'
import { readCatalog } from './catalog.ts'
import { checked } from './check.ts'
import { carryOut, isOpen, plan, planned, type Tools } from './plan.ts'
import { type Finding, readSource } from './read.ts'
import { openSecrets } from './secrets.ts'
import { showResults, textOfResults } from './show.ts'
import type { Step } from './step.ts'

type Options = {
  readonly file: string
  readonly plan?: true
  readonly yes?: true
  readonly prune?: true
  readonly secretsDir?: string
}

export const apply = () =>
  remote<Options>(
    new Command('apply')
      .description('Bring services, scopes, trust policies and service tokens to what a file says')
      .requiredOption('-f, --file <file>', 'YAML or JSON; - is stdin')
      .addOption(new Option('--plan', 'only show what would be done').conflicts('yes'))
      .option('--secrets-dir <folder>', 'where secrets that arise are put, a file each')
      .option('--prune', 'also remove what is not in the file, of the kinds that are in it')
      .addOption(yesOption())
      .addHelpText('after', '\nThe file holds no secrets. Its format: docs/automate/apply.md'),
    run,
  )

async function run({ client, output, session }: Remote, options: Options): Promise<void> {
  const { file, secretsDir, prune = false } = options
  const catalog = await readCatalog(client)
  const wanted = await wantedIn(file, { client, output, catalog })
  const secrets = secretsDir === undefined ? null : await openSecrets(secretsDir)
  const steps = await plan(wanted, { client, output, catalog, secrets, prune })
  const open = steps.filter(isOpen)
  if (options.plan || open.length === 0) return showResults(output, steps.map(planned), secrets)
  if (secrets === null) refuseHomeless(open)
  if (!options.yes) output.note(textOfResults(steps.map(planned), secrets))
  await confirm('do this', async () => `${tally(open)} at ${session.url}?`, options)
  const { results, failure } = await carryOut(steps)
  showResults(output, results, secrets)
  if (failure !== undefined) throw failure
}

async function wantedIn(
  file: string,
  { client, output, catalog }: Pick<Tools, 'client' | 'output' | 'catalog'>,
) {
  const source = await readSource(await textOf(file))
  const name = file === '-' ? 'stdin' : file
  if (!('lineOf' in source)) throw invalid(name, source, output)
  const read = await checked(source, client, catalog)
  if ('findings' in read) throw invalid(name, read.findings, output)
  return read.wanted
}

/** People get a line for each finding, as compilers have it; programs the list. */
function invalid(file: string, findings: readonly Finding[], output: Output): Failure {
  for (const { line, pointer, detail } of findings)
    output.note(plain(`${file}:${line}: ${pointer === '' ? '' : `${pointer.slice(1)}: `}${detail}`))
  const what = `${file} cannot be applied: ${findings.length === 1 ? 'something is' : `${findings.length} things are`} wrong in it.`
  return new Failure('failed', 'file-invalid', what, 'Nothing was changed.', findings)
}

/** Before anything is done: a secret that is made must have where to go, and that is not the screen. */
function refuseHomeless(open: readonly Step[]): void {
  const making = open.filter(({ secret }) => secret !== null).map(({ name }) => name)
  if (making.length === 0) return
  throw usage(
    `This makes secrets (for ${making.join(', ')}), and nobody says where they go.`,
    'Say so: --secrets-dir FOLDER',
  )
}

function tally(open: readonly Step[]): string {
  const actions = ['create', 'change', 'replace', 'remove'] as const
  const counts = actions.map(
    (action) => [action, open.filter((step) => step.action === action).length] as const,
  )
  const said = counts.filter(([, number]) => number > 0).map(([action, number]) => `${action} ${number}`)
  return said.join(', ').replace(/^./, (first) => first.toUpperCase())
}
