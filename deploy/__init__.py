"""How the suite comes onto a cluster: a Helm chart, plain manifests rendered from it, and a container file.

Written by hand are the chart's templates, ``values.yaml`` and the container file. Everything else follows from
declarations elsewhere, and ``python -m deploy`` writes it:

    permissions in code ──► roles ──► chart/templates/_permissions.tpl
    rules, dashboards ──► configuration ──► chart/files
    values.yaml, settings in code ──► values ──► chart/values.schema.json, docs/reference by python -m reference
    the whole chart ──► rendering (Helm's own engine) ──► manifests/

Not part of the installed package.
"""
