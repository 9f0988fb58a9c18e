{# Amounts, sets and windows of grants, as the bodies of decisions have them. #}

{# The position of a decision as one number, by which decisions of a log partition are ordered. #}
{% macro log_position() %}
    {{- return('log_offset * 1048576 + seq') -}}
{% endmacro %}

{# An amount in JSON, which may stand there as a text or as a number. #}
{% macro json_amount(raw, field) %}
    {{ return("toDecimal128(trim(both '\"' from JSONExtractRaw(" ~ raw ~ ", '" ~ field ~ "')), 12)") }}
{% endmacro %}

{# A moment in JSON, in microseconds since the epoch; null where it is absent. #}
{% macro json_moment(raw, field) %}
    {{ return(
        "if(JSONExtractInt(" ~ raw ~ ", '" ~ field ~ "') = 0, null, fromUnixTimestamp64Micro(JSONExtractInt("
        ~ raw ~ ", '" ~ field ~ "'), 'UTC'))"
    ) }}
{% endmacro %}

{# A set of calls: of each dimension that a body lists, its names in order. #}
{% macro json_set(raw) %}
    {{ return(
        "mapApply((dimension, names) -> (dimension, arraySort(arrayDistinct(arrayMap(name -> lowerUTF8(name), names)))), "
        ~ "mapFilter((dimension, names) -> notEmpty(names), JSONExtract(" ~ raw
        ~ ", 'allow', 'Map(String, Array(String))')))"
    ) }}
{% endmacro %}

{# The identity of a limit within its grant, for example `billed/USD/3600s`. #}
{% macro limit_key_of(raw) %}
    {% set window = "JSONExtractRaw(" ~ raw ~ ", 'window')" %}
    {% set month = "JSONExtractUInt(" ~ window ~ ", 'first_month')" %}
    {{ return(
        "concat(JSONExtractString(" ~ raw ~ ", 'meter'), '/', JSONExtractString(" ~ raw ~ ", 'currency'), '/', multiIf("
        ~ "JSONExtractUInt(" ~ window ~ ", 'rolling_s') > 0, concat(toString(JSONExtractUInt(" ~ window
        ~ ", 'rolling_s')), 's'), JSONExtractString(" ~ window ~ ", 'calendar') != '', concat(JSONExtractString("
        ~ window ~ ", 'calendar'), '@', if(JSONExtractString(" ~ window ~ ", 'zone') = '', 'UTC', JSONExtractString("
        ~ window ~ ", 'zone')), if(" ~ month ~ " > 1, concat('+', toString(" ~ month ~ ")), '')), 'total'))"
    ) }}
{% endmacro %}

{# A map: of each limit, named `GRANT/LIMIT`, the amount that a list of charges in JSON has. #}
{% macro amounts_by_limit(charges) %}
    {{ return(
        "mapFromArrays(arrayMap(charge -> concat(JSONExtractString(charge, 'grant'), '/', JSONExtractString(charge, 'limit')), "
        ~ charges ~ "), arrayMap(charge -> " ~ json_amount('charge', 'amount') ~ ", " ~ charges
        ~ "))::Map(String, Decimal(38, 12))"
    ) }}
{% endmacro %}

{# The fields of an ask that are scopes. #}
{% macro ask_scopes() %}
    {{ return(
        "['team', 'project', 'feature', 'environment', 'user', 'customer', 'key', 'agent', 'session']"
    ) }}
{% endmacro %}
