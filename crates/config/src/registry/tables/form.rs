//! The form of a file: words, comments, parameters, conditions, repetition, includes.

use super::{Block, Keyword, MANY, SUPPORTED, keywords};

keywords! {
    FORM:
    in ConfigFile {
    SUPPORTED (0, MANY) "(lines and words)" "whitespace separated words" [""] [""]
        "Words are separated by white space; keywords are exact and case-sensitive.";
    SUPPORTED (0, MANY) "{ }" "{ ... }" [""] [""]
        "Block delimiters; they may stand anywhere on a line outside quotes.";
    SUPPORTED (0, MANY) "\"...\"" "\"text with spaces\"" [""] [""]
        "Double quotes join words into one argument on ordinary keywords.";
    SUPPORTED (0, MANY) "\"...\" and '...' (command keywords)" "notify_master \"/path/prog a 'b c'\" [USER [[:]GROUP]]" [""] ["startup_script, shutdown_script, every notify_* and notify, the *_fifo_script keywords, and script of vrrp_script"]
        "A command with arguments is one quoted word, split again by quotes and backslash escapes; USER and GROUP follow it.";
    SUPPORTED (0, MANY) "#" "# comment" [""] [""]
        "Comment to end of line, allowed at any position outside double quotes.";
    SUPPORTED (0, MANY) "!" "! comment" [""] [""]
        "Same as #.";
    SUPPORTED (0, MANY) "\\# and \\!" "\\#" [""] [""]
        "Backslash before a comment character keeps it as a literal character.";
    SUPPORTED (0, MANY) "\\ (end of line)" "text \\" [""] [""]
        "Continuation, valid only inside the value of a $NAME definition that spans several lines (every line but the last ends with a backslash).";
    SUPPORTED (0, MANY) "BOOL" "true|on|yes|false|off|no" ["true when the argument is absent (most keywords)"] [""]
        "Boolean argument words, lower case only. An unknown word is an error and the setting keeps its former value.";
    SUPPORTED (0, MANY) "numbers" "decimal integer" [""] ["per keyword"]
        "Decimal; characters after the digits and values out of range are errors.";
    SUPPORTED (0, MANY) "decimal numbers" "1.25" [""] ["per keyword"]
        "Seconds may carry a fraction of up to six digits; a unit such as 5s is an error.";
    SUPPORTED (0, MANY) "(unknown keyword)" "-" [""] [""]
        "Reported as an unknown keyword, and when a brace follows the whole unknown block is skipped.";
    SUPPORTED (0, MANY) "(missing argument)" "-" [""] [""]
        "Reported with what was expected; the line has no effect and reading goes on.";
    SUPPORTED (0, MANY) "(duplicate named block)" "-" [""] [""]
        "A second vrrp_instance, vrrp_sync_group, track_group or bfd_instance with a name already used is an error and its block is skipped.";
    SUPPORTED (0, MANY) "(order of definition)" "-" [""] [""]
        "Blocks may stand in any order.";
    SUPPORTED (0, MANY) "include" "include GLOB" [""] ["at the start of a line"]
        "Read every file that matches the glob (braces allowed) at this point.";
    SUPPORTED (0, MANY) "includer" "includer GLOB" [""] [""]
        "Like include; a match that cannot be read is an error.";
    SUPPORTED (0, MANY) "includem" "includem GLOB" [""] [""]
        "Like includer, and a plain name that matches nothing is also an error.";
    SUPPORTED (0, MANY) "includew" "includew GLOB" [""] [""]
        "Like includem, and a wildcard pattern that matches nothing is also an error.";
    SUPPORTED (0, MANY) "includeb" "includeb GLOB" [""] [""]
        "Like includer, and every alternative inside braces must match a file.";
    SUPPORTED (0, MANY) "includea" "includea GLOB" [""] [""]
        "All the include checks together (read, match, wildcard, brace).";
    SUPPORTED (0, MANY) "@ID" "@ID rest-of-line" [""] [""]
        "The line is read only when ID equals the configuration id (-i/--config-id, otherwise the host name up to the first dot).";
    SUPPORTED (0, MANY) "@^ID" "@^ID rest-of-line" [""] [""]
        "The line is read only when ID differs from the configuration id.";
    SUPPORTED (0, MANY) "$NAME=" "$NAME=VALUE" [""] ["name: letters, digits and _; must start at the beginning of the line"]
        "Defines a parameter. A later definition replaces it.";
    SUPPORTED (0, MANY) "$NAME" "$NAME or ${NAME}" [""] [""]
        "Is replaced by the value. Without braces the name must be followed by white space, comma, closing parenthesis or end of line.";
    SUPPORTED (0, MANY) "${_PWD}" "${_PWD}" ["directory of the file now being read"] [""]
        "Predefined parameter; can be redefined.";
    SUPPORTED (0, MANY) "${_INSTANCE}" "${_INSTANCE}" ["the configuration id"] [""]
        "Predefined parameter; can be redefined.";
    SUPPORTED (0, MANY) "${_RANDOM}" "${_RANDOM [MIN [MAX]]}" ["0 32767"] ["0..32767"]
        "Each use gives a new random number in the range; when MIN is above MAX the result is MIN. random_seed makes it repeatable.";
    SUPPORTED (0, MANY) "${_ENV}" "${_ENV NAME}" [""] [""]
        "Value of an environment variable of the parent process; empty when unset.";
    SUPPORTED (0, MANY) "${_HASH}" "${_HASH}" ["#"] [""]
        "A literal # that does not begin a comment.";
    SUPPORTED (0, MANY) "${_BANG}" "${_BANG}" ["!"] [""]
        "A literal ! that does not begin a comment.";
    SUPPORTED (0, MANY) "~SEQ" "~SEQ(VAR,START,STEP,END) rest-of-line" ["START 1 (or -1 when END is negative); STEP 1 or -1 towards END"] ["any integer, 0x and leading-0 forms accepted; STEP not 0 and in the right direction"]
        "At the start of a line: repeats the rest of the line with $VAR set to each value up to END.";
    SUPPORTED (0, MANY) "~SEQx" "~SEQx(VAR,START,STEP,END) rest" ["as ~SEQ"] ["non-negative"]
        "Like ~SEQ and the value is written in hexadecimal.";
    SUPPORTED (0, MANY) "~LST" "~LST(VAR,V1,V2,...) rest" [""] [""]
        "Repeats the rest of the line for each value in the list.";
    SUPPORTED (0, MANY) "~LST (tuples)" "~LST({A,B},{1,2},{3,4}) rest-of-line" [""] [""]
        "Sets several variables together; missing values in a tuple are empty, too many are an error.";
    }
}
