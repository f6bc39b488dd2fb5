// Places → a script for a shell. Each follows the words typed so far down the tree, then offers what may come next.
import type { Place } from './tree.ts'

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
const names = (places: readonly Place[]) => places.slice(1).map(({ path }) => quoted(path))
const optionsOf = (places: readonly Place[]) =>
  places.flatMap(({ path, choices }) =>
    choices.map(({ option, values }) => ({ at: quoted(`${path} ${option}`), values })),
  )
const filesOf = (places: readonly Place[]) =>
  places.flatMap(({ path, files }) => files.map((option) => quoted(`${path} ${option}`)))

const bash = (
  places: readonly Place[],
) => `# latchkey completion bash; to use it: source <(latchkey completion bash)
_latchkey() {
  local at=latchkey index words=''
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$at \${COMP_WORDS[index]}" in
      ${names(places).join('|')}) at="$at \${COMP_WORDS[index]}" ;;
    esac
  done
  case "$at \${COMP_WORDS[COMP_CWORD - 1]}" in
    ${filesOf(places).join('|')}) COMPREPLY=(); return ;;
${optionsOf(places)
  .map(({ at, values }) => `    ${at}) words=${quoted(values.join(' '))} ;;`)
  .join('\n')}
    *) case "$at" in
${places.map(({ path, words }) => `      ${quoted(path)}) words=${quoted(words.map(({ word }) => word).join(' '))} ;;`).join('\n')}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _latchkey latchkey
`

const zsh = (places: readonly Place[]) => `#compdef latchkey
# latchkey completion zsh; to use it: source <(latchkey completion zsh), after compinit
_latchkey() {
  local at=latchkey index
  local -a found
  for ((index = 2; index < CURRENT; index++)); do
    case "$at \${words[index]}" in
      (${names(places).join('|')}) at="$at \${words[index]}" ;;
    esac
  done
  case "$at \${words[CURRENT - 1]}" in
    (${filesOf(places).join('|')}) _files; return ;;
${optionsOf(places)
  .map(({ at, values }) => `    (${at}) compadd -- ${values.map(quoted).join(' ')}; return ;;`)
  .join('\n')}
  esac
  case "$at" in
${places
  .map(({ path, words }) => {
    const described = words.map(({ word, about }) => quoted(`${word}:${about.replaceAll(':', '\\:')}`))
    return `    (${quoted(path)}) found=(${described.join(' ')}) ;;`
  })
  .join('\n')}
  esac
  _describe latchkey found
}
compdef _latchkey latchkey
`

const fish = (
  places: readonly Place[],
) => `# latchkey completion fish; to use it: latchkey completion fish | source
function __latchkey_at
  set -l at latchkey
  for word in (commandline -opc)[2..-1]
    switch "$at $word"
      case ${names(places).join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
complete -c latchkey -f
${places.flatMap(fishLines).join('\n')}
`

function fishLines({ path, words, choices, files }: Place): string[] {
  return words.map(({ word, about }) => {
    const start = `complete -c latchkey -n ${quoted(`__latchkey_at "${path}"`)} -d ${fishQuoted(about)}`
    if (!word.startsWith('--')) return `${start} -a ${word}`
    const values = choices.find(({ option }) => option === word)?.values
    const takes = values ? ` -x -a ${quoted(values.join(' '))}` : files.includes(word) ? ' -r -F' : ''
    return `${start} -l ${word.slice(2)}${takes}`
  })
}

/** Within quotes fish has an escape of its own. */
const fishQuoted = (text: string) => `'${text.replace(/['\\]/g, '\\$&')}'`

export const scripts = { bash, zsh, fish }
export type Shell = keyof typeof scripts
